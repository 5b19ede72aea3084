"""Write the index, at the leader alone: repairs, and runs in which any number of sources share one pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from knowledge.errors import SyncRunning
from knowledge.interfaces import Source, SourceKey
from knowledge.sync.fence import Fence
from knowledge.sync.leader import Leader
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.manifest.replica_configurations import ReplicaConfigurations
from knowledge.sync.manifest.running_backups import RunningBackups
from knowledge.sync.report import OnProgress, SourceReport
from knowledge.sync.running.pipeline import Pipeline
from knowledge.sync.running.preparation import DocumentPreparer, ParsingTurns
from knowledge.sync.running.read_budget import ReadBudget
from knowledge.sync.running.repair import Drift, clean_up, repair_index
from knowledge.sync.running.shadow_index import ShadowIndex
from knowledge.sync.running.source_sync import SourceSync
from knowledge.sync.running.tools import SyncTools, make_limits
from knowledge.sync.running.workbench import Workbench


class SyncRun:
    """An open run. Sources may join at any time, and one that hangs delays no other."""

    def __init__(self, tools: SyncTools, pipeline: Pipeline, repaired: int) -> None:
        self.repaired = repaired
        """Chunks by which store and manifest differed when the run opened."""
        self._tools = tools
        self._pipeline = pipeline
        self._budget = ReadBudget(tools.limits.read_bytes)
        self._turns = ParsingTurns(tools.limits.cuts)

    async def sync_source(
        self, source: Source, on_progress: OnProgress, *, approve: Collection[str] = frozenset()
    ) -> SourceReport:
        """Sync one source, and return a report that includes any error.

        A source may have only one sync at a time.
        """
        preparer = DocumentPreparer(self._tools, source, self._pipeline, self._budget, self._turns)
        return await SourceSync(self._tools, source, preparer, self._pipeline, on_progress, approve=approve).run()


@asynccontextmanager
async def open_run(tools: SyncTools, configured: Collection[str]) -> AsyncIterator[SyncRun]:
    """Open a run for the length of a block. The caller leads.

    ``configured`` has the id of every source (``SourceKey.id``). Of other sources, the deletion waits for approval
    (``removed_sources``). If the block is cancelled, indexed documents stay, and the next run cleans up and continues.

    Raises:
        StoreError, DatabaseError: before the block begins.

    """
    await tools.manifest.drop_empty_sources(configured)
    repaired = await clean_up(tools.store, tools.manifest)
    pipeline = Pipeline(
        bench=tools.bench,
        store=tools.store,
        manifest=tools.manifest,
        stages=tools.limits.stages,
    )
    stages = asyncio.create_task(pipeline.run(), name="sync pipeline")
    try:
        yield SyncRun(tools, pipeline, repaired)
        pipeline.end_input()
        await asyncio.shield(stages)
    finally:
        stages.cancel()
        await asyncio.wait([stages])


class IndexWriter:
    """Opens syncs and repairs, each at the leader; what they write is refused once another process leads.

    Args:
        indexes: the one to write is followed and checked before each use.
        sources: all that are configured.
        leader: excludes the other processes.
        bench: computes the rows, with the embedder of the index to write.
        configured: the key of each source's configured readers, by ``SourceKey.id``.
        configurations: what this process has configured, and what others have.
        now: seconds since the epoch.
        recognises: whether ``passages`` can read images of text.

    """

    def __init__(
        self,
        indexes: Indexes,
        sources: Sequence[SourceKey],
        leader: Leader,
        bench: Workbench,
        *,
        configured: Mapping[str, str],
        configurations: ReplicaConfigurations,
        now: Callable[[], float],
        recognises: bool = False,
    ) -> None:
        self._recognises = recognises
        self._indexes = indexes
        self._sources = sources
        self._leader = leader
        self._bench = bench
        self.place = bench.place
        """Where rows are computed, as ``Workbench.place``."""
        self._configured = configured
        self._configurations = configurations
        self._now = now

    @asynccontextmanager
    async def open_run(self) -> AsyncIterator[SyncRun]:
        """Open a run in which sources are synced; at its end an index takes over that has those of all processes."""
        async with self._hold_write_access() as fence:
            conflicts = await self._configurations.find_conflicts()
            tools, manifest = self._make_tools(fence, conflicts), fence.guard_manifest(self._indexes.manifest)
            async with open_run(tools, [source.id for source in self._sources]) as run:
                yield run
            others = (SourceKey(*one.split("\x1f", 2)) for one in conflicts)
            await self._indexes.switch_index([*self._sources, *others], manifest, fence.guard_store)

    async def repair_index(self) -> Drift:
        """Compare store and manifest row by row, and repair what differs.

        Raises:
            SyncRunning: another process leads.
            LeaseLost: another process leads since.
            StoreError, EmbedderError, DatabaseError: that side failed; nothing is lost.

        """
        async with self._hold_write_access() as fence:
            tools = self._make_tools(fence)
            return await repair_index(tools.store, tools.manifest, thorough=True)

    async def scrub_store(self) -> None:
        """Remove deleted documents from the files of an embedded store.

        Raises:
            SyncRunning: another process leads.
            LeaseLost: another process leads since.
            StoreError: the store fails.

        """
        async with self._hold_write_access(adds_rows=False) as fence:
            await RunningBackups(self._indexes.manifest.database).refuse_running()
            manifest = fence.guard_manifest(self._indexes.manifest)
            for index in self._indexes.list_open():
                store = fence.guard_store(index.store)
                await clean_up(store, manifest.open_index(index.row))
                await store.scrub()

    async def drop_sources(self, keys: Collection[str]) -> None:
        """Delete sources (``SourceKey.id``), also from an index that answers while another one grows.

        Raises:
            SyncRunning: another process writes.
            StoreError, DatabaseError: that side failed. The next sync deletes the rest from the store.

        """
        async with self._hold_write_access(adds_rows=False) as fence:
            guarded = fence.guard_manifest(self._indexes.manifest)
            for index in self._indexes.list_open():
                manifest = guarded.open_index(index.row)
                await manifest.drop_sources(keys)
                await clean_up(fence.guard_store(index.store), manifest)

    @asynccontextmanager
    async def _hold_write_access(self, *, adds_rows: bool = True) -> AsyncIterator[Fence]:
        """Lead, and follow the index to write, within this block; only with ``adds_rows`` there has to be one."""
        async with self._leader.hold_lease() as term:
            if not term:
                raise SyncRunning
            await self._indexes.follow_active()
            await self._indexes.check_index(adds_rows=adds_rows)
            fence = Fence(self._leader.lease, term)
            if not self._indexes.is_missing:
                await self._indexes.replace_lost_index(fence.guard_store(self._indexes.written.store))
            yield fence

    def _make_tools(self, fence: Fence, conflicts: frozenset[str] = frozenset()) -> SyncTools:
        written, searched = self._indexes.written, self._indexes.searched
        manifest, shadow = fence.guard_manifest(self._indexes.manifest), None
        if searched.row.id != written.row.id:
            shadow = ShadowIndex(fence.guard_store(searched.store), manifest.open_index(searched.row))
        return SyncTools(
            self._bench,
            fence.guard_store(written.store),
            manifest.open_index(written.row),
            limits=make_limits(self._bench.workers),
            shadow=shadow,
            readers_keys=self._configured,
            # No process has the configuration "several", so questions of none change rights until they agree.
            configurations={**self._configurations.ours.sources, **dict.fromkeys(conflicts, "several")},
            conflicts=conflicts,
            recognises=self._recognises,
            now=self._now,
        )
