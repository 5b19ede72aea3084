"""A real cluster of three nodes that lose each other: no question fails, and no forbidden text is shown.

``HybridSearch`` returns what is shown, with a real manifest in a file that real syncs write. The store itself does
return deleted or forbidden rows from a replica that was down; the tests check that it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowledge.embedding import IDENTITY, find_calibration
from knowledge.errors import StoreError, StoreUnavailable
from knowledge.interfaces import (
    EVERYONE,
    Candidate,
    CurrentChunk,
    DocumentContent,
    ListedDocument,
    Scope,
    SearchResult,
    SourceKey,
    StoredChunk,
    Vector,
)
from knowledge.search.access.audience_classes import AudienceClasses
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.weaviate.nodes import WeaviateLimits
from knowledge.stores.weaviate.placement import Placement
from knowledge.stores.weaviate.store import WeaviateStore
from knowledge.sync.coordinator import SyncCoordinator
from knowledge.sync.manifest.records import decode_readers
from knowledge.sync.report import SourceReport, SyncProgress
from knowledge.sync.running.run import open_run
from knowledge.sync.running.tools import SyncTools
from knowledge.sync.running.workbench import LocalWorkbench
from tests.services import WeaviateCluster, weaviate_cluster
from tests.stores.rows import DIMENSIONS, row, some_unit
from tests.sync.doubles import Arithmetic, Rig, open_rig, passages
from tests.viewers import make_members
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(540)]

INDEX = "kvasir_c1a2b3d4"
CHANNEL = frozenset({"C1"})
OTHERS = frozenset({"C9"})
PATIENT = WeaviateLimits(read_s=30, write_s=180, write_attempt_s=15, settle_s=1)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[WeaviateCluster]:
    with weaviate_cluster(tmp_path) as cluster:
        yield cluster


def store_on(
    cluster: WeaviateCluster, limits: WeaviateLimits = PATIENT, placement: Placement | None = None
) -> WeaviateStore:
    return WeaviateStore(
        cluster.url, cluster.grpc_url, cluster.api_key, placement=placement or Placement(replicas=3), limits=limits
    )


class Shelf:
    """``Source`` over documents of one passage each, with readers of their own."""

    key = SourceKey("shelf", "dict", "/shelf")

    def __init__(self) -> None:
        self.documents: dict[str, tuple[int, frozenset[str]]] = {}

    def put(self, names: Collection[str], readers: frozenset[str] = CHANNEL) -> None:
        for name in names:
            version = self.documents.get(name, (0, readers))[0] + 1
            self.documents[name] = version, readers

    def remove(self, names: Collection[str]) -> None:
        for name in names:
            del self.documents[name]

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        yield [
            ListedDocument(name, str(version), readers=who) for name, (version, who) in sorted(self.documents.items())
        ]

    async def read(self, listed: ListedDocument) -> DocumentContent:
        text = f"# {listed.document}\nThe shelf of {listed.document} has common things."
        return DocumentContent(text.encode(), None, listed.version)

    async def close(self) -> None: ...


@dataclass
class Witness:
    """The part of a store that a search uses, with a record of its candidates."""

    store: WeaviateStore
    proposed: list[Candidate] = field(default_factory=list)

    async def count(self) -> int:
        return await self.store.count()

    async def find_candidates(
        self, vector: Vector | None, terms: str, *, pool: int, scope: Scope
    ) -> Sequence[Candidate]:
        found = await self.store.find_candidates(vector, terms, pool=pool, scope=scope)
        self.proposed += found
        return found

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        return await self.store.read_rows(ids)


@dataclass
class ClusterSearch:
    """A manifest on a file, a shelf, and a store on the cluster."""

    rig: Rig
    store: WeaviateStore
    shelf: Shelf = field(default_factory=Shelf)
    embedder: Arithmetic = field(default_factory=Arithmetic)
    progress: list[SyncProgress] = field(default_factory=list)

    async def sync(self) -> SourceReport:
        tools = SyncTools(LocalWorkbench(self.embedder, passages), self.store, self.rig.index)
        coordinator = SyncCoordinator(lambda: open_run(tools, [self.shelf.key.id]))
        report = await coordinator.refresh([self.shelf], self.progress.append)
        return report.sources["shelf"]

    async def shown(
        self,
        query: str,
        *,
        store: WeaviateStore | Witness | None = None,
        limit: int = 8,
        readers: Collection[str] = CHANNEL,
    ) -> set[str]:
        return {hit.document for hit in (await self.search(query, store=store, limit=limit, readers=readers)).hits}

    async def search(
        self, query: str, *, store: WeaviateStore | Witness | None, limit: int, readers: Collection[str] = CHANNEL
    ) -> SearchResult:
        classes = AudienceClasses(self.rig.index.read_audiences, lambda: self.rig.manifest.database.writes)
        search = HybridSearch(
            self.embedder,
            store or self.store,  # type: ignore[arg-type]
            self._current,
            find_calibration(IDENTITY).search,
            classes=classes,
        )
        scope = Scope(frozenset({self.shelf.key.id}), make_members(*readers))
        return await search.search(query, scope=scope, limit=limit)

    async def _current(self, ids: Collection[str]) -> dict[str, CurrentChunk]:
        rows = await self.rig.index.find_current(ids, [self.shelf.key.id])
        now = datetime.now(UTC)
        return {
            one.id: CurrentChunk("shelf", decode_readers(one.readers), now, is_settled=one.is_settled) for one in rows
        }

    async def agrees(self) -> bool:
        stored = [id_ async for ids in self.store.list_ids() for id_ in ids]
        listed = await self.rig.index.list_chunk_ids()
        return sorted(set(stored)) == listed and not await self.rig.index.list_pending_chunks(1)


@pytest.fixture
async def search_bench(cluster: WeaviateCluster, database_url: str) -> AsyncIterator[ClusterSearch]:
    async with open_rig(database_url) as rig:
        store = store_on(cluster)
        await store.open(INDEX, DIMENSIONS)
        yield ClusterSearch(rig, store)
        await store.close()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'kvasir.db'}"


@dataclass
class Asking:
    """Questions without pause, and the errors in their answers."""

    search_bench: ClusterSearch
    gone: set[str] = field(default_factory=set)
    """Passages that nobody in the channel may see any more."""
    asked: int = 0
    failed: list[StoreError] = field(default_factory=list)
    leaked: set[str] = field(default_factory=set)

    async def __call__(self, names: Sequence[str]) -> None:
        for turn in range(1_000_000):
            gone = set(self.gone)
            name = names[(7 * turn) % len(names)]
            self.asked += 1
            try:
                self.leaked |= gone & await self.search_bench.shown(f"What is on the shelf of {name}?")
            except StoreError as error:
                self.failed.append(error)
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def asking(search_bench: ClusterSearch, names: Sequence[str]) -> AsyncIterator[Asking]:
    asked = Asking(search_bench)
    tasks = [asyncio.ensure_future(asked(names[n:] + names[:n])) for n in (0, 5)]
    try:
        yield asked
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended


def names(first: int, after: int) -> list[str]:
    return [f"paper{n}" for n in range(first, after)]


async def test_a_node_killed_under_load_and_brought_back_fails_no_question_and_shows_nothing_stale(
    search_bench: ClusterSearch, cluster: WeaviateCluster
) -> None:
    search_bench.shelf.put(names(0, 150))
    assert (await search_bench.sync()).added == 150
    async with asking(search_bench, names(0, 225)) as asked:
        for round_ in range(3):
            await asyncio.sleep(0.5)
            stale = await bring_back_a_stale_node(search_bench, cluster, asked, round_)
            await asyncio.sleep(PATIENT.settle_s + 3)
            if stale:
                break
        else:
            pytest.fail("no search used the replica that was down, so this test shows nothing")
    assert asked.failed == []
    assert asked.leaked == set()
    closed = {*asked.gone} & {*search_bench.shelf.documents}
    assert await search_bench.shown("shelf common things", limit=250, readers=OTHERS) == closed
    open_names = {*search_bench.shelf.documents} - closed
    async with asyncio.timeout(WAIT_S):  # a search may use the replica that was down until it has caught up
        while await search_bench.shown("shelf common things", limit=250) != open_names:  # noqa: ASYNC110
            await asyncio.sleep(0.5)


async def bring_back_a_stale_node(
    search_bench: ClusterSearch, cluster: WeaviateCluster, asked: Asking, round_: int
) -> set[str]:
    """Change passages while a node is down; return which of them it still proposes when it is back.

    The others repair a node that is back, often before the first search: then it proposes none.
    """
    deleted, closed = names(50 * round_, 50 * round_ + 25), names(50 * round_ + 25, 50 * round_ + 50)
    used = cluster.nodes[0]  # the first configured node is tried first
    used.kill()
    search_bench.shelf.remove(deleted)
    search_bench.shelf.put(closed, OTHERS)
    search_bench.shelf.put(names(150 + 25 * round_, 175 + 25 * round_))
    report = await search_bench.sync()
    assert (report.error, report.added, report.deleted) == (None, 25, 25)
    asked.gone |= {*deleted, *closed}
    before = asked.asked
    async with asyncio.timeout(WAIT_S):
        while asked.asked <= before + 10:  # noqa: ASYNC110 - the questions go on by themselves
            await asyncio.sleep(0.02)
    await asyncio.to_thread(used.start)
    store = WeaviateStore(used.url, used.grpc_url, used.api_key, placement=Placement(replicas=3), limits=PATIENT)
    witness = Witness(store)
    await store.open(INDEX, DIMENSIONS)
    found = await search_bench.search("shelf common things", store=witness, limit=150)
    await store.close()
    documents, proposed = {hit.document for hit in found.hits}, {one.chunk.document for one in witness.proposed}
    stale = proposed & asked.gone & {*search_bench.shelf.documents}
    assert found.refused_count == len(stale), "each revoked passage that the replica proposed is counted"
    assert documents
    assert not documents & asked.gone
    return stale


async def test_the_leader_killed_in_a_sync_loses_nothing(search_bench: ClusterSearch, cluster: WeaviateCluster) -> None:
    search_bench.shelf.put(names(0, 600))
    syncing = asyncio.ensure_future(search_bench.sync())
    while not any(progress.done >= 60 for progress in search_bench.progress):
        await asyncio.sleep(0.02)
        assert not syncing.done(), "the sync was too quick to lose its leader"
    leader = await asyncio.to_thread(cluster.leader)
    leader.kill()
    report = await syncing
    if report.error is not None:  # it may stop; the next one continues from there
        report = await search_bench.sync()
    assert report.error is None
    assert report.failed == 0
    assert await search_bench.agrees()
    assert await search_bench.shown("shelf common things", limit=600) == set(search_bench.shelf.documents)
    await asyncio.to_thread(leader.start)
    assert await search_bench.agrees()


async def test_two_of_three_nodes_down_are_reported_in_time(
    search_bench: ClusterSearch, cluster: WeaviateCluster
) -> None:
    search_bench.shelf.put(names(0, 30))
    await search_bench.sync()
    quick = store_on(cluster, WeaviateLimits(read_s=10, write_s=12, settle_s=1))
    single = store_on(cluster, WeaviateLimits(read_s=30), Placement(replicas=3, read_consistency="ONE"))
    for store in (quick, single):
        await store.open(INDEX, DIMENSIONS)
    for node in cluster.nodes[:2]:
        node.kill()
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(StoreUnavailable, match=r"WEAVIATE_URL|nodes"):
            await search_bench.shown("paper7", store=quick)
        with pytest.raises(StoreUnavailable, match=r"WEAVIATE_URL|nodes"):
            await quick.write([row("a")])
        found = await single.find_candidates(
            None, "paper7", pool=3, scope=Scope(frozenset({search_bench.shelf.key.id}))
        )
        assert {one.chunk.document for one in found} == {"paper7"}
    await asyncio.gather(*(asyncio.to_thread(node.start) for node in cluster.nodes[:2]))
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(StoreUnavailable):
                if await search_bench.shown("shelf common things", store=quick, limit=30) == set(
                    search_bench.shelf.documents
                ):
                    break
            await asyncio.sleep(0.1)
        await search_bench.store.write([row("a", readers=EVERYONE)])
    for store in (quick, single):
        await store.close()


async def test_nodes_that_hang_or_are_down_are_skipped(cluster: WeaviateCluster) -> None:
    """The first node is frozen, as by a machine that swaps; then it is down when a store opens."""
    store = store_on(cluster, replace(PATIENT, read_s=10, write_attempt_s=3))
    await store.open(INDEX, DIMENSIONS)
    await store.write([row(f"r{n}", vector=some_unit(n)) for n in range(20)])
    frozen = cluster.nodes[0]._process
    assert frozen is not None
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(WAIT_S):
            assert await store.count() == 20
            await store.write([row("last")])
            assert await store.count() == 21
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    cluster.nodes[0].kill()
    late = store_on(cluster)
    await late.open(INDEX, DIMENSIONS)
    assert await late.count() == 21
    for one in (store, late):
        await one.close()
