"""A real Ray cluster on this machine: a head without a core, and nodes with one core each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot.wheels import WheelCache
from knowledge.opening import open_library
from tests.library.sync_process import settings_of
from tests.tiers import require_servers

ROOT = Path(__file__).parents[2]
SYNC_PROCESS = ROOT / "tests" / "library" / "sync_process.py"
ATTEMPTS = 5
"""A raylet ends if its agents need more than 15 s to start, as on a busy machine."""


def find_python() -> Path:
    """Return the Python of the environment with Ray that ``scripts/test-services.sh`` makes; skip the test without."""
    python = find_cache() / "ray" / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"Ray is not installed in {python.parents[1]}; make services installs it")
    return python


def find_cache() -> Path:
    """Return the folder of what can be made again."""
    return Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")


def find_free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class RayCluster:
    """A cluster that demands its token; ``run_cluster`` makes it."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python = python
        self.token = secrets.token_hex(32)
        self._folder = folder
        self._port, self._client_port = find_free_port(), find_free_port()
        self.address = f"ray://127.0.0.1:{self._client_port}"
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def variables(self) -> Mapping[str, str]:
        """Return the environment of a process that may use the cluster."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_TOKEN": self.token,
            "RAY_worker_niceness": "0",  # with 15, other tests take the time of the workers
        }

    def start_head(self) -> None:
        """Start the head, which has no core for workers."""
        self._start("head", "--head", f"--port={self._port}", f"--ray-client-server-port={self._client_port}",
                    "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={self._folder}")  # fmt: skip

    def add_node(self, name: str, *, core: int | None = None) -> None:
        """Start a node, and wait until it has joined; with ``core``, all of its processes run on that one."""
        self._start(name, f"--address={find_own_address()}:{self._port}", "--num-cpus=1", core=core)

    def kill_node(self, name: str) -> None:
        """Kill all processes of a node at once."""
        launcher = self._nodes.pop(name)
        # A launcher that failed leaves processes of its session behind.
        family = [one for one in psutil.process_iter() if _find_session(one.pid) == launcher.pid]
        for parent in tuple(family):
            with contextlib.suppress(psutil.NoSuchProcess):
                family += parent.children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 30)
        launcher.wait(30)

    def close(self) -> None:
        """Kill everything."""
        for name in reversed(list(self._nodes)):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.kill_node(name)

    def _start(self, name: str, *arguments: str, core: int | None = None) -> None:
        argv = (
            *(() if core is None else ("taskset", "--cpu-list", str(core))),
            str(self.python.with_name("ray")), "start", "--block", *arguments, "--disable-usage-stats",
            "--object-store-memory=78643200", f"--dashboard-agent-listen-port={find_free_port()}",
            "--min-worker-port=0", "--max-worker-port=0",
        )  # fmt: skip
        log = self._folder / f"{name}.log"
        for _ in range(ATTEMPTS):
            with log.open("wb") as output:
                self._nodes[name] = started = subprocess.Popen(
                    argv,
                    env={**self.variables, "RAY_AUTH_MODE": "token"},
                    stdout=output,
                    stderr=output,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            while started.poll() is None:
                if "Ray runtime started" in log.read_text(errors="replace"):
                    return
                time.sleep(0.1)
            self.kill_node(name)
        raise RuntimeError(f"The Ray node {name} did not start: {log.read_text(errors='replace')[-2000:]}")


def _find_session(pid: int) -> int:
    """Return the session of a process, 0 if it has ended."""
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)
    return 0


def find_own_address() -> str:
    """Return the address that Ray uses for this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, contextlib.suppress(OSError):
        one.connect(("8.8.8.8", 80))  # sends nothing; Ray chooses its address so
        address: str = one.getsockname()[0]
        return address
    return "127.0.0.1"


@contextlib.contextmanager
def run_cluster(*nodes: str) -> Iterator[RayCluster]:
    """Run a cluster with these nodes for the length of a block."""
    require_servers("Ray")
    python = find_python()
    # The paths of sockets may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    cluster = RayCluster(python, folder)
    try:
        cluster.start_head()
        for name in nodes:
            cluster.add_node(name)
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


def _describe(home: Path) -> dict[str, Any]:
    return {"home": str(home), "cache": str(find_cache()), "database_url": f"sqlite:///{home}/kvasir.db"}


async def read_index(home: Path, docs: Path) -> tuple[dict[str, Any], int]:
    """Return every row with its vector, and by how many rows store and manifest differ."""
    settings = settings_of(_describe(home), {"docs": str(docs)})
    async with open_library(settings, WheelCache(settings.cache / "wheels").unpack_wheel) as library:
        written = library._indexes.written
        assert not await written.manifest.list_pending_chunks(1)
        drift = await library.syncs.repair_index()
        ids = await written.manifest.list_chunk_ids()
        return {row["id"]: row async for row in library.rows.read_rows(written.row.name, ids)}, drift.differences


async def start_sync(cluster: RayCluster, home: Path, docs: Path, *, on_ray: bool) -> asyncio.subprocess.Process:
    """Start a sync in a process of its own, which writes a line for each document."""
    options = {
        "settings": _describe(home),
        "roots": {"docs": str(docs)},
        **({"cluster": cluster.address} if on_ray else {}),
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(cluster.python), str(SYNC_PROCESS), stdin=pipe, stdout=pipe, env=dict(cluster.variables)
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(options).encode())
    process.stdin.close()
    return process


async def finish_sync(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return what the sync counted."""
    output, _ = await process.communicate()
    last = output.decode().splitlines()[-1]
    assert last.startswith("end "), output
    counts: dict[str, Any] = json.loads(last.removeprefix("end "))["docs"]
    return counts
