"""Real servers for tests, each on free ports of the loopback, gone when the block ends however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

WEAVIATE_VERSION = "1.39.0"
ADMIN_KEY = "test-admin-key"
READER_KEY = "test-reader-key"


@dataclass
class WeaviateServer:
    """A Weaviate on this machine; ``api_key`` may do everything, ``reader_key`` may only read."""

    url: str
    grpc_url: str
    api_key: str
    reader_key: str
    _argv: list[str] = field(repr=False)
    _environment: Mapping[str, str] = field(repr=False)
    _log: Path = field(repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, timeout_s: float = 60) -> None:
        """Start the server (again) and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, env=dict(self._environment), stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + timeout_s
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                tail = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Weaviate did not become ready: {tail}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        request = urllib.request.Request(
            f"{self.url}/v1/.well-known/ready", headers={"Authorization": f"Bearer {self.api_key}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    def kill(self) -> None:
        """Kill the server as a crash would, and wait until it is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(10)
            self._process = None


def weaviate_binary() -> Path | None:
    """Return the server's program: KVASIR_TEST_WEAVIATE, else the one in the cache, else None."""
    given = os.environ.get("KVASIR_TEST_WEAVIATE")
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    path = Path(given) if given else cache / f"weaviate-{WEAVIATE_VERSION}" / "weaviate-server"
    return path if path.is_file() else None


@contextlib.contextmanager
def weaviate_server(directory: Path) -> Iterator[WeaviateServer]:
    """Run a Weaviate with its data in ``directory``: two keys, no anonymous access, nothing sent to anybody.

    Raises:
        RuntimeError: there is no server program, or it did not become ready; ``make test`` brings one.

    """
    binary = weaviate_binary()
    if binary is None:
        raise RuntimeError("There is no Weaviate server to test with: run `make test`, or set KVASIR_TEST_WEAVIATE.")
    http, grpc, gossip, data, raft, raft_rpc = free_ports(6)
    server = WeaviateServer(
        url=f"http://127.0.0.1:{http}",
        grpc_url=f"http://127.0.0.1:{grpc}",
        api_key=ADMIN_KEY,
        reader_key=READER_KEY,
        _argv=[str(binary), "--host", "127.0.0.1", "--port", str(http), "--scheme", "http"],
        _environment={
            "HOME": str(directory),
            "PATH": os.environ.get("PATH", ""),
            "PERSISTENCE_DATA_PATH": str(directory / "data"),
            "CLUSTER_HOSTNAME": "n1",
            "CLUSTER_BIND_ADDR": "127.0.0.1",
            "GRPC_PORT": str(grpc),
            "CLUSTER_GOSSIP_BIND_PORT": str(gossip),
            "CLUSTER_DATA_BIND_PORT": str(data),
            "RAFT_PORT": str(raft),
            "RAFT_INTERNAL_RPC_PORT": str(raft_rpc),
            "RAFT_TIMEOUTS_MULTIPLIER": "1",
            "GO_PROFILING_DISABLE": "true",
            "DISABLE_TELEMETRY": "true",
            "LOG_LEVEL": "warning",
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": f"{ADMIN_KEY},{READER_KEY}",
            "AUTHENTICATION_APIKEY_USERS": "admin,reader",
            "AUTHORIZATION_ADMINLIST_ENABLED": "true",
            "AUTHORIZATION_ADMINLIST_USERS": "admin",
            "AUTHORIZATION_ADMINLIST_READONLY_USERS": "reader",
        },
        _log=directory / "weaviate.log",
    )
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.asynccontextmanager
async def weaviate_server_async(directory: Path):  # noqa: ANN201 - AsyncIterator[WeaviateServer]
    """Run a Weaviate as ``weaviate_server`` does, without blocking the loop while it starts."""
    manager = weaviate_server(directory)
    server = await asyncio.to_thread(manager.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
