"""A throwaway PgBouncer for tests, in transaction mode, in front of a PostgreSQL of ``tests.postgres``."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.services import free_ports
from tests.tiers import require_servers
from tests.waiting import WAIT_S

PARAMETER = "pgbouncer=transaction"
_PATHS = ("/usr/sbin/pgbouncer", "/usr/bin/pgbouncer")


def find_program() -> str:
    """Return the path of PgBouncer.

    Raises:
        RuntimeError: it is not installed.

    """
    found = shutil.which("pgbouncer") or next(filter(os.path.exists, _PATHS), None)
    if found is None:
        raise RuntimeError("PgBouncer is not installed. On Debian: apt-get install pgbouncer.")
    return found


@contextlib.contextmanager
def pgbouncer_server(postgres: str, connections: int = 3) -> Iterator[str]:
    """Run a PgBouncer in front of a server; yield its URL without a parameter. It is gone afterwards.

    Few ``connections`` to each database, so that clients often share one. As root it runs under the user ``postgres``,
    because it refuses to run as root.
    """
    require_servers("PgBouncer")
    program, server, [port] = find_program(), make_url(postgres), free_ports(1)
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="kvasir-pgbouncer-"))
    try:
        (people := folder / "users.txt").write_text(f'"{server.username}" "{server.password}"\n')
        (config := folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server.host} port={server.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {people}\nadmin_users = {server.username}\n"
            f"pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 400\n"
            f"server_reset_query =\nlogfile = {folder / 'log'}\n"
        )
        if user is not None:
            for path in (folder, people, config):
                shutil.chown(path, user)
        process = subprocess.Popen([program, str(config)], user=user, stderr=subprocess.DEVNULL, cwd="/")
        try:
            _wait_for_port(port)
            yield f"postgresql://{server.username}:{server.password}@127.0.0.1:{port}/{server.database}"
        finally:
            process.terminate()
            process.wait(WAIT_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def add_parameter(url: str) -> str:
    """Return the URL that Kvasir needs for a database behind PgBouncer."""
    return f"{url}?{PARAMETER}"


def _wait_for_port(port: int) -> None:
    ends = time.monotonic() + WAIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return
