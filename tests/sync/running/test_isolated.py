"""A defect in one source (an unexpected error) fails only that source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, Never

import pytest

from knowledge.interfaces import ListedDocument
from knowledge.sync.report import SyncReport
from knowledge.sync.running.repair import Drift
from knowledge.sync.unattended import UnattendedSync
from knowledge.sync.watch import SourceWatcher
from tests.waiting import WAIT_S

SECRET = "hunter2"


@pytest.mark.parametrize("call", ["list", "list on", "read"])
async def test_a_defect_in_one_source_does_not_stop_the_others(
    rig: Any, new_source: Callable[..., Any], caplog: pytest.LogCaptureFixture, call: str
) -> None:
    sound = new_source("sound", "/sound")
    for source in (rig.source, sound):
        source.put("a.md", "one")
        source.put("b.md", "two")
    rig.source.plan(call, TypeError(f"postgresql://kvasir:{SECRET}@db"))
    report = (await rig.sync(rig.source, sound)).sources
    assert (report["sound"].ok, report["sound"].added) == (True, 2)
    broken = report["handbook"]
    assert not broken.ok
    assert "TypeError" in (broken.error or broken.failures[0].reason)
    lines = [record.getMessage() for record in caplog.records]
    assert any("TypeError" in line and "doubles.py" in line for line in lines), "where the defect is"
    assert SECRET not in f"{broken}{lines}{caplog.text}"
    rig.clock_s += 100_000
    assert (await rig.sync(rig.source, sound)).ok
    assert set(await rig.answers()) == {"a.md", "b.md"}


async def test_a_listing_with_a_defect_deletes_nothing(rig: Any) -> None:
    for n in range(4):
        rig.source.put(f"{n}.md", f"text {n}")
    await rig.sync()
    for n in range(1, 4):
        del rig.source.texts[f"{n}.md"]
    rig.source.plan("list on", TypeError("no"))
    report = await rig.report()
    assert (report.deleted, report.pending_deletions, len(await rig.answers())) == (0, 0, 4)


async def test_a_timeout_of_the_source_differs_from_the_syncs_deadline(rig: Any) -> None:
    rig.source.put("a.md", "one")
    rig.source.plan("list", TimeoutError())
    assert "TimeoutError" in ((await rig.report()).error or "")
    rig.source.plan("read", TimeoutError())
    report = await rig.report()
    assert report.error is None
    assert "TimeoutError" in report.failures[0].reason


@pytest.mark.slow
@pytest.mark.parametrize("which", ["the listing", "the source"])
@pytest.mark.parametrize("how", ["hangs", "defect"])
async def test_a_source_that_does_not_close_delays_nobody(
    rig: Any, caplog: pytest.LogCaptureFixture, which: str, how: str
) -> None:
    rig.limits = replace(rig.limits, close_s=0.05)
    rig.source.put("a.md", "one")
    listing = rig.source.list

    async def stuck() -> None:
        if how == "defect":
            raise TypeError(SECRET)
        await asyncio.Event().wait()

    async def listed() -> AsyncIterator[Sequence[ListedDocument]]:
        try:
            async for batch in listing():
                yield batch
            yield [None]  # type: ignore[list-item] # a plug-in's mistake: the sync stops here and closes the listing
        finally:
            await stuck()

    if which == "the source":
        rig.source.close = stuck
    else:
        rig.source.list = listed
    async with asyncio.timeout(WAIT_S):
        report = await rig.report()
    assert report.added == 1
    if which == "the source":
        assert report.ok
    assert SECRET not in caplog.text


class Broken:
    """A watched source that meets a defect, then tells of a change."""

    def __init__(self) -> None:
        self.turns = 0

    async def changes(self) -> AsyncIterator[None]:
        self.turns += 1
        if self.turns <= 2:
            raise TypeError(SECRET)
        yield
        await asyncio.Event().wait()


async def test_a_watch_with_a_defect_continues_after_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    slept, synced = asyncio.Queue[float](), asyncio.Queue[str]()

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)

    watch = SourceWatcher({"docs": Broken()}, synced.put, sleep=sleep)
    async with asyncio.timeout(WAIT_S), watch.run_in_background():
        for _ in range(2):
            assert await slept.get() == 300.0
            assert await synced.get() == "docs"
        assert await synced.get() == "docs", "a change is heard again"
        assert (watch.watched, watch.troubles) == ({"docs"}, {})
    assert caplog.text.count("TypeError") == 1
    assert SECRET not in caplog.text


async def test_a_sync_that_nobody_waits_for_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A watch calls it, and would end."""

    async def fail(_: object = None) -> Never:
        raise ExceptionGroup("several", [TypeError(SECRET)])

    await UnattendedSync(fail, fail).sync_by_clock(None)
    assert "TypeError" in caplog.text
    assert SECRET not in caplog.text


async def test_a_night_logs_what_is_repaired_and_what_is_read_again(caplog: pytest.LogCaptureFixture) -> None:
    async def repair() -> Drift:
        return Drift(surplus=2, wrong=1)

    async def refresh(_: object) -> SyncReport:
        return SyncReport({}, 0.0)

    await UnattendedSync(refresh, repair).sync_by_clock(None)
    assert "3 passages" in caplog.text
    assert "2 are repaired, and the sync that follows reads the documents of 1 again" in caplog.text
