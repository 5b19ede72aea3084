"""A throwaway MariaDB for tests: data of its own in a temporary folder, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql

from tests.services import free_ports
from tests.tiers import require_servers

_START_S = 60


def installed() -> bool:
    """Tell whether a MariaDB server is on this machine."""
    return shutil.which("mariadbd") is not None and shutil.which("mariadb-install-db") is not None


@contextlib.contextmanager
def mariadb_server() -> Iterator[int]:
    """Run a server and give its port, at which ``root`` needs no password; it is gone afterwards."""
    require_servers("MariaDB")
    folder = Path(tempfile.mkdtemp(prefix="kvasir-mariadb-"))
    user = pwd.getpwuid(os.geteuid()).pw_name
    [port] = free_ports(1)
    data = [f"--datadir={folder}", f"--user={user}"]
    try:
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", *data, "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, timeout=_START_S,
        )  # fmt: skip
        server = subprocess.Popen(
            ["mariadbd", "--no-defaults", *data, f"--port={port}", "--bind-address=127.0.0.1",
             f"--socket={folder}/socket", f"--pid-file={folder}/pid", "--innodb-flush-log-at-trx-commit=0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(server, port)
            yield port
        finally:
            server.kill()
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(pymysql.OperationalError):
            with pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True) as connection:
                cursor = connection.cursor()
                cursor.execute("DELETE FROM mysql.global_priv WHERE User = ''")  # it would stand before named users
                cursor.execute("FLUSH PRIVILEGES")
            return
        time.sleep(0.1)
    raise RuntimeError("MariaDB did not start")
