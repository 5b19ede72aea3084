"""Syncs that no caller waits for: by the clock, and after a change in a source."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from knowledge.defects import describe_defect, unwrap_group
from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.sync.report import SyncReport
from knowledge.sync.running.repair import Drift

_log = logging.getLogger(__name__)

_BUSY_PAUSE_S = 60.0
"""Pause before another attempt if another sync is running."""
_BUSY_ATTEMPTS = 180


class UnattendedSync:
    """Syncs, and repairs before the nightly sync. It waits for other syncs, raises nothing, and logs what happens.

    ``refresh`` syncs a source by its name, or every source for None, after its running sync.
    """

    def __init__(
        self,
        refresh: Callable[[str | None], Awaitable[SyncReport]],
        repair: Callable[[], Awaitable[Drift]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._refresh = refresh
        self._repair = repair
        self._sleep = sleep

    async def sync(self, source: str | None) -> None:
        """Sync one source, or every source for None."""

        async def sync_once() -> None:
            _log_report(await self._refresh(source))

        await self._wait_and_run(sync_once, f"The sync of {source or 'every source'}")

    async def sync_by_clock(self, source: str | None) -> None:
        """Sync one source; or repair, then sync every source for None."""
        if source is None:
            await self._wait_and_run(self._repair_and_log, "The nightly comparison of store and manifest")
        await self.sync(source)

    async def _repair_and_log(self) -> None:
        drift = await self._repair()
        if drift.differences:
            _log.warning(
                "%d passages of store and manifest differed: %d are repaired, and the sync that follows reads the "
                "documents of %d again",
                drift.differences, drift.repairs, drift.differences - drift.repairs,
            )  # fmt: skip

    async def _wait_and_run(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        for _ in range(_BUSY_ATTEMPTS):
            try:
                return await work()
            except SyncRunning:
                await self._sleep(_BUSY_PAUSE_S)
            except KnowledgeError as error:
                return _log.warning("%s failed: %s", name, error)
            except Exception as error:  # noqa: BLE001 (nobody waits for it, and a watch must go on)
                return _log.error("%s met a defect: %s", name, describe_defect(unwrap_group(error)))
        return _log.warning("%s was left out: another sync has been running for hours.", name)


def _log_report(report: SyncReport) -> None:
    """Log how a sync ended, a line for each source."""
    for name, source in report.sources.items():
        counts = f"{source.added} added, {source.updated} updated, {source.deleted} deleted"
        if source.error is not None:
            _log.warning("The sync of %s stopped: %s", name, source.error)
        elif source.failed or source.pending_deletions:
            _log.warning(
                "Synced %s: %s, %d failed, %d pending deletions", name, counts, source.failed, source.pending_deletions
            )
        else:
            _log.info("Synced %s in %.1f s: %s", name, source.seconds, counts)
