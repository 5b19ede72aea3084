"""A run: opened once, with one pipeline through which any number of sources go side by side, with equal parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from knowledge.interfaces import Source
from knowledge.sync.report import OnProgress, SourceReport, SyncReport
from knowledge.sync.running.pipeline import Pipeline
from knowledge.sync.running.preparation import DocumentPreparer, ParsingTurns
from knowledge.sync.running.read_budget import ReadBudget
from knowledge.sync.running.repair import clean_up
from knowledge.sync.running.source_sync import SourceSync
from knowledge.sync.running.tools import SyncTools


class SyncRun:
    """A run that is open. Sources may join at any time; one that hangs holds up no other."""

    def __init__(self, tools: SyncTools, pipeline: Pipeline, repaired: int) -> None:
        self.repaired = repaired
        """Chunks that store and manifest differed by when it was opened."""
        self._tools = tools
        self._pipeline = pipeline
        self._budget = ReadBudget(tools.limits.read_bytes)
        self._turns = ParsingTurns(tools.limits.cuts)

    async def sync(
        self, source: Source, on_progress: OnProgress, *, approve: Collection[str] = frozenset()
    ) -> SourceReport:
        """Bring one source up to date; what stops it is in its report. Not twice at the same time for one source."""
        preparer = DocumentPreparer(self._tools, source, self._pipeline, self._budget, self._turns)
        return await SourceSync(self._tools, source, preparer, self._pipeline, on_progress, approve=approve).run()


@asynccontextmanager
async def open_run(tools: SyncTools, configured: Collection[str]) -> AsyncIterator[SyncRun]:
    """Open a run for the length of a block; the caller holds the lock.

    ``configured`` names every source there is (``SourceKey.id``): what belongs to none of them is purged. What was
    taken in when the block is cancelled stays; the next run cleans up and goes on.

    Raises:
        StoreError, ManifestError: before the block begins.

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
        pipeline.end()
        await asyncio.shield(stages)
    finally:
        stages.cancel()
        await asyncio.wait([stages])


async def sync(
    tools: SyncTools,
    sources: Sequence[Source],
    *,
    configured: Collection[str],
    on_progress: OnProgress,
    approve: Mapping[str, Collection[str]] | None = None,
) -> SyncReport:
    """Bring the store level with these sources in a run of their own; a source that fails does not stop the others.

    ``approve`` names, for each source, held documents that are deleted if they are still gone now that their source
    is listed again (``plan``).

    Raises:
        StoreError, ManifestError: before any source was begun.

    """
    began, agreed = tools.clock(), approve or {}
    async with open_run(tools, configured) as run:
        async with asyncio.TaskGroup() as group:
            tasks = {
                source.key.name: group.create_task(
                    run.sync(source, on_progress, approve=agreed.get(source.key.name, ()))
                )
                for source in sources
            }
        reports = {name: task.result() for name, task in tasks.items()}
    return SyncReport(reports, tools.clock() - began, run.repaired)
