"""Syncs the sources of a library: on request, by the clock, and after changes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING

from knowledge.errors import PendingDeletionsChanged, UnknownSource
from knowledge.interfaces import RightsSource, Source, WatchableSource
from knowledge.settings import KnowledgeSettings
from knowledge.sync.coordinator import SyncCoordinator
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.records import make_approval_mark
from knowledge.sync.report import OnProgress, OnReport, SyncProgress, SyncReport
from knowledge.sync.rights import RightsChecker
from knowledge.sync.rights_sweep import RightsSweep
from knowledge.sync.running.repair import Drift
from knowledge.sync.running.run import IndexWriter
from knowledge.sync.unattended import UnattendedSync
from knowledge.sync.watch import SourceWatcher

if TYPE_CHECKING:
    from knowledge.sync.schedule import Schedule


class LibrarySync:
    """Starts the syncs of all sources. ``close`` stops every sync."""

    def __init__(
        self,
        settings: KnowledgeSettings,
        sources: Mapping[str, Source],
        writer: IndexWriter,
        rights: RightsChecker,
        find_manifest: Callable[[], Awaitable[IndexManifest]],
        *,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Take the sources by name; ``find_manifest`` returns the manifest of the active index."""
        self._settings = settings
        self._sources = sources
        self._writer = writer
        self._find_manifest = find_manifest
        self._coordinator = SyncCoordinator(writer.open_run)
        self._unattended = UnattendedSync(self._refresh_queued, self.repair_index, sleep=sleep)
        self.watcher = SourceWatcher(
            {name: source for name, source in sources.items() if isinstance(source, WatchableSource)},
            self._unattended.sync,
            sleep=sleep,
        )
        """Syncs each source as soon as it reports changes; knows which are watched, and why others are not."""
        self._sweep = RightsSweep(
            [source.key for source in sources.values() if isinstance(source, RightsSource)],
            rights,
            find_manifest,
            lambda name: name in self._coordinator.progress,
            sleep=sleep,
        )

    def call_on_report(self, on_report: OnReport) -> None:
        """Call a function with the report of each sync of a source, also of those by the clock."""
        self._coordinator.on_report = on_report

    def find_progress(self, source: str) -> SyncProgress | None:
        """Return the progress of the source's sync in this process; None if there is none."""
        progress = self._coordinator.progress
        if source not in progress:
            return None
        return progress[source] or SyncProgress(source, 0, 0, 0, 0, 0.0, None)

    async def refresh(
        self, source: str | None, on_progress: OnProgress | None, *, approve: Mapping[str, str]
    ) -> SyncReport:
        """Sync one source, or every source, as ``Library.refresh`` says."""
        chosen = select_sources(self._sources, None if source is None else [source])
        return await self._coordinator.refresh(chosen, on_progress, approve=await self._check_approvals(approve))

    async def _check_approvals(self, marks: Mapping[str, str]) -> dict[str, frozenset[str]]:
        """Return the approved documents by their source: as names, so that no sync can add to them."""
        approved_names: dict[str, frozenset[str]] = {}
        for source in select_sources(self._sources, marks.keys()):
            names = await (await self._find_manifest()).list_pending_names(source.key)
            if make_approval_mark(names) != marks[source.key.name]:
                raise PendingDeletionsChanged(source.key.name)
            approved_names[source.key.name] = names
        return approved_names

    async def _refresh_queued(self, source: str | None) -> SyncReport:
        """Sync after the running sync of the source."""
        chosen = select_sources(self._sources, None if source is None else [source])
        return await self._coordinator.refresh(chosen, None, queue=True)

    async def repair_index(self) -> Drift:
        """Compare store and manifest row by row, and repair what differs. The next sync reads what is lost.

        Raises:
            SyncRunning: a sync is running, here or elsewhere.
            StoreError, DatabaseError: that side failed; nothing is lost.

        """
        return await self._coordinator.run_exclusively(self._writer.repair_index)

    @contextlib.asynccontextmanager
    async def run_schedule(self) -> AsyncIterator[Schedule]:
        """Sync by the clock within this block: every night, and by the cron lines of sources.

        The nightly run starts with ``repair_index``. Between syncs, sources are asked who may read their documents.

        Raises:
            SourceMisconfigured: a line is no cron line.

        """
        from knowledge.sync.schedule import Schedule  # noqa: PLC0415 - only a bot that stays needs it

        lines = {spec.name: spec.schedule for spec in self._settings.sources if spec.schedule is not None}
        schedule = Schedule(self._unattended.sync_by_clock, nightly=self._settings.nightly, sources=lines)
        schedule.start()
        try:
            async with self._sweep.run_in_background():
                yield schedule
        finally:
            await schedule.stop()

    async def close(self) -> None:
        """Stop every sync. Indexed documents stay."""
        await self._coordinator.close()


def select_sources(sources: Mapping[str, Source], names: Collection[str] | None) -> list[Source]:
    """Return the sources of these names, all for None.

    Raises:
        UnknownSource: there is no source of that name.

    """
    if names is None:
        return list(sources.values())
    for name in names:
        if name not in sources:
            raise UnknownSource(name, sources)
    return [source for name, source in sources.items() if name in names]
