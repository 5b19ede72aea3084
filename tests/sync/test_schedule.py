"""Cron lines: how they are parsed, when they run, and that runs of one line do not overlap."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from knowledge.errors import SourceMisconfigured
from knowledge.sync.schedule import Schedule
from tests.sync.schedules import make_due
from tests.waiting import WAIT_S


async def nothing(_source: str | None) -> None: ...


def due(line: str, after: datetime) -> datetime:
    schedule = Schedule(nothing, nightly=line, sources={}, timezone="UTC")
    found = schedule._scheduler.get_job("nightly").trigger.get_next_fire_time(None, after)
    assert isinstance(found, datetime)
    return found


@pytest.mark.parametrize("line", ["", "30 2 * *", "61 2 * * *", "now", "30 2 * * mon-funday", "0 0 31 13 *"])
def test_an_invalid_cron_line_is_named(line: str) -> None:
    with pytest.raises(SourceMisconfigured, match="nightly schedule"):
        Schedule(nothing, nightly=line, sources={})
    with pytest.raises(SourceMisconfigured, match="source wiki"):
        Schedule(nothing, nightly=None, sources={"wiki": line})


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("30 2 * * *", 25), ("30 2 * * 0", 29), ("30 2 * * 7", 29), ("30 2 * * 1", 30), ("30 2 * * 5-7", 27),
        ("30 2 * * 6,0", 28), ("30 2 * * fri", 27), ("30 2 * * 1-5/2", 25), ("30 2 * * 4/2", 26),
    ],
)  # fmt: skip
def test_weekdays_are_cron_s_own(line: str, day: int) -> None:
    tuesday = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert due(line, tuesday) == datetime(2026, 11, day, 2, 30, tzinfo=UTC)


async def test_a_due_job_refreshes_its_source() -> None:
    ran: asyncio.Queue[str | None] = asyncio.Queue()
    schedule = Schedule(ran.put, nightly="30 2 * * *", sources={"wiki": "*/5 * * * *"})
    schedule.start()
    try:
        for source in ("wiki", None):
            make_due(schedule, source)
        async with asyncio.timeout(WAIT_S):
            assert {await ran.get(), await ran.get()} == {"wiki", None}
    finally:
        await schedule.stop()
    await schedule.stop()


async def test_other_tasks_run_by_the_clock() -> None:
    ran = asyncio.Event()

    async def quiet() -> None:
        ran.set()

    async def refresh(_: str | None) -> None:
        raise AssertionError

    schedule = Schedule(refresh, nightly=None, sources={})
    schedule.add_task("engine", "* * * * *", quiet)
    with pytest.raises(SourceMisconfigured, match="The hour of the engine 2, “nonsense”"):
        schedule.add_task("engine 2", "nonsense", quiet)
    schedule._scheduler.modify_job("also engine", next_run_time=datetime.now(UTC))
    schedule.start()
    try:
        async with asyncio.timeout(WAIT_S):
            await ran.wait()
    finally:
        await schedule.stop()


async def test_a_run_that_stop_cancels_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, ended = asyncio.Event(), False

    async def refresh(_source: str | None) -> None:
        nonlocal ended
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # as closing a run takes its time
            ended = True

    schedule = Schedule(refresh, nightly="30 2 * * *", sources={})
    schedule.start()
    make_due(schedule)
    async with asyncio.timeout(WAIT_S):
        await begun.wait()
        await schedule.stop()
    assert ended
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
