"""Start nightly syncs and syncs by cron lines of sources. Each joins ``library.refresh``."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from knowledge.errors import SourceMisconfigured
from knowledge.sync.signals import cancel_and_wait

Refresh = Callable[[str | None], Awaitable[None]]
"""Syncs one source, or every source for None. Raises nothing, because no caller waits for it."""

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIELDS = 5
_LATE_S = 6 * 3600
"""A run that was missed, for example because the machine slept, starts late within this time."""


class Schedule:
    """Runs ``refresh`` by the clock between ``start`` and ``stop``; one run of each line at a time."""

    def __init__(
        self,
        refresh: Refresh | None = None,
        *,
        nightly: str | None = None,
        sources: Mapping[str, str] = MappingProxyType({}),
        timezone: str | None = None,
    ) -> None:
        """Parse the cron lines: ``nightly`` for every source, ``sources`` for sources with their own line.

        ``timezone`` is an IANA name, None for the machine's.

        Raises:
            SourceMisconfigured: a line is no cron line.

        """
        self._timezone = timezone
        self._runs: set[asyncio.Task[None]] = set()
        self._scheduler = AsyncIOScheduler(executors={"default": AsyncIOExecutor()})
        lines: list[tuple[str | None, str]] = [*sources.items()]
        if nightly is not None:
            lines.append((None, nightly))
        for source, line in lines:
            self._scheduler.add_job(
                self._run_call,
                _make_trigger(source, line, timezone),
                args=[refresh, source],
                id=f"source {source}" if source is not None else "nightly",
                coalesce=True,
                max_instances=1,
                misfire_grace_time=_LATE_S,
            )

    def add_task(self, name: str, line: str, call: Callable[[], Awaitable[None]]) -> None:
        """Run another task by the clock. It raises nothing, because no caller waits for it.

        Raises:
            SourceMisconfigured: the line is no cron line.

        """
        self._scheduler.add_job(
            self._run_call,
            _make_trigger(name, line, self._timezone, what="The hour of the"),
            args=[call],
            id=f"also {name}",
            coalesce=True,
            max_instances=1,
        )

    def start(self) -> None:
        """Start. Needs the running event loop."""
        self._scheduler.start()

    async def stop(self) -> None:
        """Stop. Active runs are cancelled and awaited; the next sync continues from there."""
        if not self._scheduler.running:
            return
        self._scheduler.pause()
        await asyncio.sleep(0)  # Runs that were due have started now, and no others follow.
        await cancel_and_wait(tuple(self._runs))
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # The scheduler ends at the loop's next turn.

    async def _run_call(self, call: Callable[..., Awaitable[None]], *arguments: str | None) -> None:
        """Call it. Hide the cancellation by ``stop``, which APScheduler would log as a failure."""
        run = asyncio.current_task()
        assert run is not None  # noqa: S101 - the executor makes a task of every run
        self._runs.add(run)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await call(*arguments)
        finally:
            self._runs.discard(run)


def find_due(line: str, after: datetime, timezone: str | None = None) -> datetime | None:
    """Return when a cron line is next due in a time zone, or the machine's; None for never.

    Raises:
        SourceMisconfigured: the line is no cron line.

    """
    due: datetime | None = _make_trigger(None, line, timezone).get_next_fire_time(None, after)
    return due


def parse_cron_line(line: str, timezone: str | None = None) -> CronTrigger:
    """Return the times of a cron line; raise ``ValueError`` with the reason if it is none."""
    if len(line.split()) != _FIELDS:
        raise ValueError(f"it has {len(line.split())} fields instead of {_FIELDS}")
    minute, hour, day, month, weekdays = line.split()
    # Names, because cron counts from Sunday (0 or 7), APScheduler 3 from Monday.
    names = ",".join(_name_weekday_part(part) for part in weekdays.split(","))
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=names, timezone=timezone)


def _make_trigger(
    source: str | None, line: str, timezone: str | None, what: str = "The schedule of source"
) -> CronTrigger:
    try:
        return parse_cron_line(line, timezone)
    except ValueError as error:
        where = f"{what} {source}" if source is not None else "The nightly schedule"
        raise SourceMisconfigured(
            f"{where}, “{line}”, is not a cron line: {error}. Write five fields, such as 30 2 * * * for 02:30."
        ) from error


def _name_weekday_part(part: str) -> str:
    numbers = re.fullmatch(r"([0-7])(?:-([0-7]))?(?:/([1-9]))?", part)
    if numbers is None:
        return part
    first, last, step = numbers.groups()
    end = int(last) if last is not None else (6 if step else int(first))
    return ",".join(_WEEKDAYS[day] for day in range(int(first), end + 1, int(step or 1)))
