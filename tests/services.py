"""Real servers for tests, each on free ports of the loopback, gone when the block ends however it ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import random
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.tiers import require_servers

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

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables with which Kvasir uses it."""
        return {"WEAVIATE_URL": self.url, "WEAVIATE_GRPC_URL": self.grpc_url, "WEAVIATE_API_KEY": self.api_key}

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
                is_ready = answer.status == 200
            grpc = urllib.parse.urlsplit(self.grpc_url)  # it listens a moment later
            with socket.create_connection((grpc.hostname, grpc.port), timeout=2):
                return is_ready
        except OSError:
            return False

    @property
    def running(self) -> bool:
        """Whether its process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill the server as a crash would, and wait until it is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(10)
            self._process = None


def weaviate_binary() -> Path | None:
    """Return the server's program: KVASIR_TEST_WEAVIATE, else the one in the cache, else None."""
    setting = os.environ.get("KVASIR_TEST_WEAVIATE")
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    path = Path(setting) if setting else cache / f"weaviate-{WEAVIATE_VERSION}" / "weaviate-server"
    return path if path.is_file() else None


ADMIN_LIST = {
    "AUTHORIZATION_ADMINLIST_ENABLED": "true",
    "AUTHORIZATION_ADMINLIST_USERS": "admin",
    "AUTHORIZATION_ADMINLIST_READONLY_USERS": "reader",
}
ROLES = {"AUTHORIZATION_RBAC_ENABLED": "true", "AUTHORIZATION_RBAC_ROOT_USERS": "admin"}
"""Rights by roles: the admin's key may do everything, the reader's nothing until it is given a role."""


@dataclass(frozen=True)
class _Ports:
    http: int
    grpc: int
    gossip: int
    data: int
    raft: int
    raft_rpc: int


def _node(
    directory: Path, ports: _Ports, name: str, rights: Mapping[str, str], cluster: Mapping[str, str]
) -> WeaviateServer:
    binary = weaviate_binary()
    if binary is None:
        raise RuntimeError("There is no Weaviate server: run `make services`, or set KVASIR_TEST_WEAVIATE.")
    return WeaviateServer(
        url=f"http://127.0.0.1:{ports.http}",
        grpc_url=f"http://127.0.0.1:{ports.grpc}",
        api_key=ADMIN_KEY,
        reader_key=READER_KEY,
        _argv=[str(binary), "--host", "127.0.0.1", "--port", str(ports.http), "--scheme", "http"],
        _environment={
            "HOME": str(directory),
            "PATH": os.environ.get("PATH", ""),
            "PERSISTENCE_DATA_PATH": str(directory / f"data-{name}"),
            "CLUSTER_HOSTNAME": name,
            "CLUSTER_BIND_ADDR": "127.0.0.1",
            "GRPC_PORT": str(ports.grpc),
            "CLUSTER_GOSSIP_BIND_PORT": str(ports.gossip),
            "CLUSTER_DATA_BIND_PORT": str(ports.data),
            "RAFT_PORT": str(ports.raft),
            "RAFT_INTERNAL_RPC_PORT": str(ports.raft_rpc),
            "RAFT_TIMEOUTS_MULTIPLIER": "1",
            "GO_PROFILING_DISABLE": "true",
            "DISABLE_TELEMETRY": "true",
            "LOG_LEVEL": "warning",
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": f"{ADMIN_KEY},{READER_KEY}",
            "AUTHENTICATION_APIKEY_USERS": "admin,reader",
            **rights,
            **cluster,
        },
        _log=directory / f"weaviate-{name}.log",
    )


@contextlib.contextmanager
def weaviate_server(directory: Path, rights: Mapping[str, str] = ADMIN_LIST) -> Iterator[WeaviateServer]:
    """Run a Weaviate with its data in ``directory``: two keys, no anonymous access, nothing sent to anybody.

    Raises:
        RuntimeError: there is no server program, or it did not become ready; ``make services`` brings one.

    """
    require_servers("Weaviate")
    server = _node(directory, _Ports(*free_ports(6)), "n1", rights, {})
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass
class WeaviateCluster:
    """Several Weaviate nodes on this machine that hold copies of each other's rows."""

    nodes: list[WeaviateServer]

    @property
    def url(self) -> str:
        """Name every node, as WEAVIATE_URL does."""
        return ",".join(node.url for node in self.nodes)

    @property
    def grpc_url(self) -> str:
        """Name every node's gRPC side, in the same order."""
        return ",".join(node.grpc_url for node in self.nodes)

    @property
    def api_key(self) -> str:
        """Return the key that may do everything."""
        return self.nodes[0].api_key

    def leader(self) -> WeaviateServer:
        """Return the node that leads the others now, as they say."""
        request = urllib.request.Request(
            f"{next(node for node in self.nodes if node.running).url}/v1/cluster/statistics",
            headers={"Authorization": f"Bearer {self.api_key}"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            statistics = json.load(answer)["statistics"]
        led_by = next(one["leaderId"] for one in statistics if one.get("leaderId"))
        return self.nodes[int(led_by.removeprefix("n")) - 1]


@contextlib.contextmanager
def weaviate_cluster(directory: Path, nodes: int = 3) -> Iterator[WeaviateCluster]:
    """Run so many nodes, joined, with their data in ``directory``.

    Raises:
        RuntimeError: as ``weaviate_server``.

    """
    require_servers("Weaviate")
    cluster = _started(directory, nodes)
    try:
        yield cluster
    finally:
        for node in cluster.nodes:
            node.kill()


def _started(directory: Path, nodes: int, tries: int = 3) -> WeaviateCluster:
    """Start a cluster; a port that another has taken meanwhile is a reason to begin anew with others."""
    for attempt in range(1, tries + 1):
        place = directory / f"cluster-{attempt}"
        place.mkdir()
        cluster = _cluster(place, nodes)
        try:
            with concurrent.futures.ThreadPoolExecutor(nodes) as pool:
                list(pool.map(lambda node: node.start(), cluster.nodes))
        except RuntimeError as error:
            for node in cluster.nodes:
                node.kill()
            if attempt == tries or "address already in use" not in str(error):
                raise
        else:
            return cluster
    raise AssertionError


def _cluster(directory: Path, nodes: int) -> WeaviateCluster:
    ports = [_paired_ports() for _ in range(nodes)]
    names = [f"n{number}" for number in range(1, nodes + 1)]
    common = {
        "CLUSTER_IN_LOCALHOST": "true",
        "RAFT_JOIN": ",".join(f"{name}:{port.raft}" for name, port in zip(names, ports, strict=True)),
        "RAFT_BOOTSTRAP_EXPECT": str(nodes),
        # A copy that was down learns in seconds what it missed; by default it takes about a minute.
        "ASYNC_REPLICATION_FREQUENCY": "3s",
        "ASYNC_REPLICATION_FREQUENCY_WHILE_PROPAGATING": "1s",
        "ASYNC_REPLICATION_PROPAGATION_DELAY": "1s",
    }
    join = {"CLUSTER_JOIN": f"127.0.0.1:{ports[0].gossip}"}
    return WeaviateCluster(
        [
            _node(directory, port, name, ADMIN_LIST, common | (join if number else {}))
            for number, (name, port) in enumerate(zip(names, ports, strict=True))
        ]
    )


def _paired_ports() -> _Ports:
    """Return ports of which data follows gossip and the internal Raft port follows Raft, as a cluster wants."""
    while True:
        http, grpc, gossip, raft = free_ports(4)
        if _is_free(gossip + 1) and _is_free(raft + 1) and len({http, grpc, gossip, gossip + 1, raft, raft + 1}) == 6:
            return _Ports(http, grpc, gossip, gossip + 1, raft, raft + 1)


def _is_free(port: int) -> bool:
    with socket.socket() as one, contextlib.suppress(OSError):
        one.bind(("127.0.0.1", port))
        return True
    return False


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
    """Return ports that are free, all different, of those that the kernel gives nobody by itself.

    One that it gave might be another's by the time that a server wants it: of a connection, or of a test beside this.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(10_000, 32_000)
        if port not in found and _is_free(port):
            found.append(port)
    return found
