"""Open a run, with one pipeline that any number of sources share in equal parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from knowledge.interfaces import Source
from knowledge.sync.report import OnProgress, SourceReport
from knowledge.sync.running.pipeline import Pipeline
from knowledge.sync.running.preparation import DocumentPreparer, ParsingTurns
from knowledge.sync.running.read_budget import ReadBudget
from knowledge.sync.running.repair import clean_up
from knowledge.sync.running.source_sync import SourceSync
from knowledge.sync.running.tools import SyncTools


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
    """Open a run for the length of a block. The caller holds the lock.

    ``configured`` has the id of every source (``SourceKey.id``); documents of other sources are deleted. If the block
    is cancelled, indexed documents stay, and the next run cleans up and continues.

    Raises:
        StoreError, DatabaseError: before the block begins.

    """
    await tools.manifest.drop_other_sources(configured)
    repaired = await clean_up(tools.store, tools.manifest)
    pipeline = Pipeline(
        embedder=tools.embedder,
        store=tools.store,
        manifest=tools.manifest,
        index_terms=tools.index_terms,
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
