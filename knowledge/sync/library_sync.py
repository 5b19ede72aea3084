"""Syncs the sources of a library: on request, by the clock, and after changes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from knowledge.errors import ClusterError, KnowledgeError, LeaseLost, PendingDeletionsChanged, UnknownSource
from knowledge.interfaces import RightsSource, Source, WatchableSource
from knowledge.settings import KnowledgeSettings
from knowledge.sync.coordinator import SyncCoordinator
from knowledge.sync.index_watch import IndexWatch
from knowledge.sync.leader import Leader
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.lease import Lease
from knowledge.sync.manifest.records import make_approval_mark
from knowledge.sync.manifest.requests import REFRESH, SCRUB, Request, Requests
from knowledge.sync.removed_sources import RemovedSource, find_removed_sources
from knowledge.sync.report import OnProgress, OnReport, SourceReport, SyncProgress, SyncReport
from knowledge.sync.requests import ask_for, serve_requests
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
        lease: Lease,
        make_writer: Callable[[Leader], IndexWriter],
        rights: RightsChecker,
        find_manifest: Callable[[], Awaitable[IndexManifest]],
        *,
        index_watch: IndexWatch,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Take the sources by name; ``find_manifest`` returns the manifest of the active index."""
        self._index_watch = index_watch
        self._settings = settings
        self._sources = sources
        self._find_manifest = find_manifest
        self._requests = Requests(lease.database, lease.namespace)
        self.leader = Leader(lease, self._list_progress, self._serve_requests, self._stop_syncs)
        """Whether this process leads, and which other one does."""
        self._writer = make_writer(self.leader)
        self._coordinator = SyncCoordinator(self._writer.open_run)
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

        async def ask_leader() -> SyncReport | None:
            if place := self._writer.place:
                leader = await self.leader.lease.find_leader()
                raise ClusterError(
                    f"{leader.label if leader else 'Another process'} leads, and would sync without {place}. "
                    "Stop it until this sync has ended, and let KVASIR_ROLE of this process be all or sync."
                )
            removed = await self._find_removed(approve)
            if source not in removed:
                select_sources(self._sources, None if source is None else [source])
            await self._check_approvals({name: approve[name] for name in approve if name not in removed})
            return await ask_for(self._requests, REFRESH, self.leader.lease, on_progress, source or "", approve)

        return await self._lead_or_ask(lambda: self._sync_here(source, on_progress, approve), ask_leader)

    async def _sync_here(
        self, source: str | None, on_progress: OnProgress | None, approve: Mapping[str, str], *, queue: bool = False
    ) -> SyncReport:
        """Sync in this process, which leads, and delete the removed sources that a person approved."""
        removed = await self._find_removed(approve)
        chosen = [] if source in removed else select_sources(self._sources, None if source is None else [source])
        approved = await self._check_approvals({name: approve[name] for name in approve if name not in removed})
        reports = await self._drop_removed(removed)
        if source in removed:
            return SyncReport(reports, 0.0)
        report = await self._coordinator.refresh(chosen, on_progress, approve=approved, queue=queue)
        return replace(report, sources={**reports, **report.sources})

    async def scrub_store(self) -> None:
        """Remove deleted documents from the files of an embedded store, as ``Library.scrub_store`` says."""
        await self._lead_or_ask(self._scrub_here, lambda: ask_for(self._requests, SCRUB, self.leader.lease))

    async def _scrub_here(self) -> SyncReport:
        await self._coordinator.run_exclusively(self._writer.scrub_store)
        return SyncReport({}, 0.0)

    async def _lead_or_ask(
        self, work: Callable[[], Awaitable[SyncReport]], ask: Callable[[], Awaitable[SyncReport | None]]
    ) -> SyncReport:
        """Do something at the leader, wherever that is; again if the leader dies or another process takes the lease."""
        while True:
            try:
                async with self.leader.hold_lease() as term:
                    report = await (self._repeat_if_lost(work, term) if term else ask())
            finally:
                await self.leader.wait_until_ended()
            if report is not None:
                return report

    async def _repeat_if_lost(self, work: Callable[[], Awaitable[SyncReport]], term: int) -> SyncReport | None:
        """Return the report of some work; None if the lease was lost before its end."""
        try:
            report = await work()
        except KnowledgeError:
            if await self.leader.has_lost(term):
                return None
            raise
        return None if not report.ok and await self.leader.has_lost(term) else report

    async def _serve_requests(self, term: int) -> None:
        await serve_requests(self._requests, functools.partial(self._do_request, term), term)

    async def _do_request(self, term: int, request: Request, on_progress: OnProgress) -> SyncReport:
        """Do what another process asked. A sync of every source waits for those that run; one of a source does not."""

        async def sync_for_other() -> SyncReport:
            queue = not (request.source or request.approvals)
            return await self._sync_here(request.source or None, on_progress, request.approvals, queue=queue)

        report = await self._repeat_if_lost(sync_for_other if request.action == REFRESH else self._scrub_here, term)
        if report is None:
            raise LeaseLost
        return report

    def _list_progress(self) -> Mapping[str, SyncProgress]:
        return {name: one for name in self._sources if (one := self.find_progress(name)) is not None}

    async def _stop_syncs(self) -> None:
        await self._coordinator.close()

    async def _find_removed(self, marks: Mapping[str, str]) -> dict[str, RemovedSource]:
        """Return the removed sources among those that a person approved."""
        if not marks.keys() - self._sources.keys():
            return {}
        keys = [source.key for source in self._sources.values()]
        found = await find_removed_sources(await self._find_manifest(), keys)
        for name in marks.keys() & found.keys():
            if found[name].approval_mark != marks[name]:
                raise PendingDeletionsChanged(name)
        return {name: found[name] for name in marks if name in found}

    async def _drop_removed(self, removed: Mapping[str, RemovedSource]) -> dict[str, SourceReport]:
        if removed:
            keys = [one.key.id for one in removed.values()]
            await self._coordinator.run_exclusively(functools.partial(self._writer.drop_sources, keys))
        reports = {name: SourceReport(deleted=one.documents) for name, one in removed.items()}
        for name, report in reports.items():
            await self._coordinator.on_report(name, report, report.deleted)
        return reports

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
        """Sync after the running sync of the source; raise ``SyncRunning`` if another process leads."""
        chosen = select_sources(self._sources, None if source is None else [source])
        return await self._coordinator.refresh(chosen, None, queue=True)

    async def repair_index(self) -> Drift:
        """Compare store and manifest row by row, and repair what differs. The next sync reads what is lost.

        Raises:
            SyncRunning: a sync is running, or another process leads.
            StoreError, DatabaseError: that side failed; nothing is lost.

        """
        return await self._coordinator.run_exclusively(self._writer.repair_index)

    @contextlib.asynccontextmanager
    async def run_schedule(self) -> AsyncIterator[Schedule]:
        """Sync by the clock within this block: every night, and by the cron lines of sources.

        The nightly run starts with ``repair_index``, and so does one as soon as the index is found lost or damaged.
        Between syncs, sources are asked who may read their documents.

        Raises:
            SourceMisconfigured: a line is no cron line.

        """
        from knowledge.sync.schedule import Schedule  # noqa: PLC0415 - only a bot that stays needs it

        lines = {spec.name: spec.schedule for spec in self._settings.sources if spec.schedule is not None}
        schedule = Schedule(
            self._unattended.sync_by_clock,
            nightly=self._settings.nightly,
            sources=lines,
            timezone=self._settings.timezone,
        )
        schedule.start()
        build_again = functools.partial(self._unattended.sync_by_clock, None)
        try:
            async with self._sweep.run_in_background(), self._index_watch.heal_in_background(build_again):
                yield schedule
        finally:
            await schedule.stop()

    async def close(self) -> None:
        """Stop every sync. Indexed documents stay."""
        await self.leader.close()


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
