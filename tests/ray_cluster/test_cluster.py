"""Work is asked of another worker if one dies, and nodes that would make other rows are refused."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from knowledge.errors import ClusterError, EmbedderError
from knowledge.ray_cluster.cluster import RayWorkbench, open_cluster
from knowledge.ray_cluster.worker import Failure, KnownCanary, RayWorker, WorkerLost, WorkerReport, describe_code
from knowledge.settings import ClusterSettings

GOOD = WorkerReport("node-1", describe_code(), "words", 12, has_token=True)


class Cluster:
    """Stands for the connection: its actors double numbers, and some of them die or wait."""

    def __init__(self, cores: int, reports: Any = GOOD) -> None:
        self.cores = cores
        self.report = reports
        self.actors: list[int] = []
        self.dying: set[int] = set()
        self.killed: list[int] = []
        self.asked: list[tuple[int, list[str]]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def count_free_cores(self) -> int:
        return self.cores - len(self.actors) + len(self.killed)

    async def start_actor(self, kind: type, *_: object) -> int:
        assert kind is RayWorker
        self.actors.append(len(self.actors))
        return self.actors[-1]

    async def call(self, actor: int, method: str, *arguments: Any) -> Any:
        if method == "open":
            return self.report
        self.asked.append((actor, *arguments))
        await asyncio.sleep(0)  # others are asked meanwhile
        await self.gate.wait()
        if actor in self.dying:
            raise WorkerLost("ActorDiedError")
        if arguments[0] == ["refused"]:
            return Failure(EmbedderError("The text is refused."))
        return np.array([[float(text)] for text in arguments[0]], np.float32)

    def kill_actor(self, actor: int) -> None:
        self.killed.append(actor)


def make_bench(cluster: Cluster) -> RayWorkbench:
    async def open_embedder(_: object) -> Any: ...

    return RayWorkbench(cluster, "ray://head:10001", open_embedder, GOOD, None)  # type: ignore[arg-type]


async def test_texts_are_shared_in_pieces_and_keep_their_order() -> None:
    bench = make_bench(cluster := Cluster(3))
    await bench.start_workers()
    assert bench.workers == 3
    texts = [str(n) for n in range(100)]
    assert (await bench.embed_passages(texts))[:, 0].tolist() == list(range(100))
    assert {actor for actor, _ in cluster.asked} == {0, 1, 2}


async def test_the_work_of_a_dead_worker_is_done_by_another() -> None:
    bench = make_bench(cluster := Cluster(3))
    await bench.start_workers()
    cluster.dying = {0, 2}
    assert (await bench.embed_passages(["1", "2"])).tolist() == [[1], [2]]
    assert bench.workers == 3 - len(cluster.killed)


async def test_a_new_core_gets_a_worker_that_continues() -> None:
    bench = make_bench(cluster := Cluster(1))
    await bench.start_workers()
    cluster.dying = {0}
    async with bench.replace_workers():
        assert (await bench.embed_passages(["7"])).tolist() == [[7]]
    assert (cluster.killed, cluster.actors) == ([0], [0, 1])


async def test_work_that_kills_every_worker_is_an_error_of_it() -> None:
    bench = make_bench(cluster := Cluster(6))
    await bench.start_workers()
    cluster.dying = set(range(6))
    with pytest.raises(ClusterError, match="5 workers of the Ray cluster at ray://head:10001 died over the same work"):
        await bench.embed_passages(["7"])


async def test_an_error_of_the_embedder_arrives_and_stops_the_other_pieces() -> None:
    bench = make_bench(Cluster(2))
    await bench.start_workers()
    with pytest.raises(EmbedderError, match="refused"):
        await bench.embed_passages(["refused"])


async def test_a_cancelled_call_frees_its_turn() -> None:
    bench = make_bench(cluster := Cluster(1))
    await bench.start_workers()
    cluster.gate.clear()
    calls = [asyncio.create_task(bench.embed_passages(["1"])) for _ in range(3)]
    await asyncio.wait(calls, timeout=0.01)
    assert len(cluster.asked) == 2, "a worker has two calls at a time"
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    cluster.gate.set()
    assert (await bench.embed_passages(["5"])).tolist() == [[5]]


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (replace(GOOD, has_token=False), "asks for no token"),
        (replace(GOOD, code="0.0.1 (abc)"), "node-1 has Kvasir 0.0.1"),
        (replace(GOOD, embedder="other"), "the embedder other, and the index needs words"),
        (replace(GOOD, tokens=11), "with the same tokenizer"),
        (Failure(EmbedderError("The weights are damaged.")), "cannot embed or parse: The weights are damaged"),
    ],
)
async def test_a_node_that_would_make_other_rows_is_refused(report: WorkerReport | Failure, why: str) -> None:
    bench = make_bench(cluster := Cluster(2, report))
    with pytest.raises(ClusterError, match=why):
        await bench.start_workers()
    assert set(cluster.killed) == set(cluster.actors)


async def test_a_cluster_without_a_free_core_is_an_error() -> None:
    with pytest.raises(ClusterError, match="has no free core"):
        await make_bench(Cluster(0)).start_workers()


async def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        settings = ClusterSettings(f"ray://127.0.0.1:{one.getsockname()[1]}")
        with pytest.raises(ClusterError, match="Nothing answers at ray://127"):
            async with open_cluster(settings, make_bench, make_bench, None):  # type: ignore[arg-type]
                pass


def test_without_ray_the_command_names_what_to_install(tmp_path: Path) -> None:
    """Tests run without Ray, as most installations do."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n')
        environ = {**os.environ, "KVASIR_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path.cwd())}
        argv = [sys.executable, "-m", "bot", "sync", "--on", address]
        done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Ray is not installed here" in done.stderr


async def test_nodes_expect_the_canary_of_the_leader() -> None:
    canary = np.ones(2, np.float32)
    assert await KnownCanary(canary).add_canary("words", np.zeros(2, np.float32)) is canary
    assert await KnownCanary(None).load_canary("words") is None
