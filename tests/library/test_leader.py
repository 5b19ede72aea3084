"""Processes that share one database: one of them leads, and the others ask it. Each library stands for a process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from knowledge.errors import ClusterError, KnowledgeError, NobodyLeads, PendingDeletionsChanged, SyncRunning
from knowledge.library import Library
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.sync import leader, requests
from knowledge.sync.manifest.lease import LeaseOwner
from knowledge.sync.manifest.manifest import IndexManifest
from knowledge.sync.manifest.records import LastRepair
from knowledge.sync.manifest.requests import Requests
from knowledge.sync.report import SyncProgress
from knowledge.sync.running.repair import repair_index
from tests.database.scripts import run_script
from tests.library.library_bench import Bench, texts
from tests.sync.doubles import HangingSource
from tests.sync.leaders import end_lease, lead_elsewhere, open_lease
from tests.sync.schedules import make_due
from tests.waiting import WAIT_S


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def shared(request: pytest.FixtureRequest, bench: Bench) -> Bench:
    """Give a bench on a database of each kind."""
    if request.param == "postgresql":
        bench.url = request.getfixturevalue("empty_postgres")
    return bench


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes look more often."""
    monkeypatch.setattr(requests, "_LOOK_S", 0.05)
    monkeypatch.setattr(leader, "_TRY_S", 0.05)


async def wait_for(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def leading(library: Library) -> AsyncIterator[None]:
    """Let a library lead as a bot does, once the lease is free."""

    @contextlib.asynccontextmanager
    async def work() -> AsyncIterator[None]:
        yield

    task = asyncio.create_task(library.syncs.leader.lead(work))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def compare(library: Library) -> int:
    """Return by how many chunks store and manifest differ."""
    index = library._indexes.written
    return (await repair_index(index.store, index.manifest, thorough=True)).differences


async def test_another_process_syncs_at_the_leader_and_sees_its_progress(shared: Bench, handbook: Any) -> None:
    shared.store = functools.partial(LanceDBStore, sleep=lambda _: asyncio.sleep(0))  # type: ignore[assignment]
    async with shared.library(handbook) as leader, shared.library(handbook) as other, leading(leader):
        await wait_for(lambda: leader.syncs.leader.lease.term)
        shown: list[SyncProgress] = []
        report = await other.refresh(on_progress=shown.append)
        assert (report.sources["handbook"].added, report.ok) == (2, True)
        assert shown[-1].done == 2
        assert not other.syncs.leader.lease.term
        assert "Thirty days of holiday a year." in await texts(other, "holiday")
        status = await other.status()
        assert status.leader is not None
        assert not status.leader.is_this_process
        assert (await leader.status()).leader == replace(status.leader, is_this_process=True)
        handbook.put("holiday.md", "broken")
        failures = (await other.refresh("handbook")).sources["handbook"].failures
        assert [one.document for one in failures] == ["holiday.md"]
        await other.scrub_store()
        assert await Requests(other._indexes.manifest.database).take_requests(99) == []


async def test_approvals_go_to_the_leader(shared: Bench, handbook: Any) -> None:
    async with shared.library(handbook) as leader, shared.library(handbook) as other, leading(leader):
        await wait_for(lambda: leader.syncs.leader.lease.term)
        for n in range(40):
            handbook.put(f"{n}.md", f"text {n}")
        await other.refresh()
        for n in range(40):
            del handbook.texts[f"{n}.md"]
        assert (await other.refresh()).sources["handbook"].pending_deletions == 40
        with pytest.raises(PendingDeletionsChanged):
            await other.refresh(approve={"handbook": "another mark"})
        report = await other.refresh(approve=(await other.status()).approval_marks())
        assert report.sources["handbook"].deleted == 40


async def test_a_source_that_the_leader_syncs_is_named_to_others(shared: Bench, handbook: Any) -> None:
    async with shared.library(handbook) as leader, shared.library(handbook) as other, leading(leader):
        shared.embedder.gate.clear()
        begun = asyncio.Event()
        first = asyncio.create_task(leader.refresh(on_progress=lambda _: begun.set()))
        await begun.wait()
        with pytest.raises(SyncRunning, match="A sync of handbook is running already"):
            await other.refresh("handbook")
        with pytest.raises(SyncRunning):
            await other.scrub_store()
        shown: list[SyncProgress] = []
        every = asyncio.create_task(other.refresh(on_progress=shown.append))
        await wait_for(lambda: shown)
        shared.embedder.gate.set()
        assert (await first).sources["handbook"].added == 2
        assert (await every).sources["handbook"].unchanged == 2


async def test_a_caller_that_goes_stops_its_sync_at_the_leader(shared: Bench) -> None:
    source = HangingSource()
    async with shared.library(source) as leader, shared.library(source) as other, leading(leader):
        await wait_for(lambda: leader.syncs.leader.lease.term)
        asking = asyncio.create_task(other.refresh())
        await wait_for(lambda: leader.syncs.find_progress("handbook"))
        asking.cancel()
        await wait_for(lambda: leader.syncs.find_progress("handbook") is None)


async def test_a_failure_of_the_leader_is_raised_at_the_asker(shared: Bench, handbook: Any) -> None:
    async with shared.library() as leader, shared.library(handbook) as other, leading(leader):
        await wait_for(lambda: leader.syncs.leader.lease.term)
        with pytest.raises(KnowledgeError, match="no source “handbook”"):
            await other.refresh("handbook")


async def test_the_asker_takes_over_if_the_leader_goes(shared: Bench, handbook: Any) -> None:
    async with shared.library(handbook) as library:
        async with lead_elsewhere(shared.url):
            asking = asyncio.create_task(library.refresh())
            asked = Requests(library._indexes.manifest.database)
            async with asyncio.timeout(WAIT_S):
                while not await asked.take_requests(1):  # noqa: ASYNC110 - polled
                    await asyncio.sleep(0.01)
            assert not asking.done()
        assert (await asking).sources["handbook"].added == 2


async def test_a_sync_on_a_cluster_is_not_left_to_a_leader_without_one(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library, lead_elsewhere(bench.url):
        library.syncs._writer.place = "the Ray cluster at ray://head:10001"
        with pytest.raises(ClusterError, match="would sync without the Ray cluster at ray://head:10001"):
            await library.refresh()


async def test_a_request_is_done_although_the_database_failed_meanwhile(
    bench: Bench, handbook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken = "CREATE TRIGGER broken BEFORE UPDATE OF {} ON knowledge_requests BEGIN SELECT RAISE(ABORT, 'broken'); END"
    async with bench.library(handbook) as leader, bench.library(handbook) as other, leading(leader):
        await wait_for(lambda: leader.syncs.leader.lease.term)
        for column in ("progress", "report"):
            caplog.clear()
            await run_script(bench.url, broken.format(column))
            asking = asyncio.create_task(other.refresh())
            await wait_for(lambda: "could not be stored" in caplog.text)
            await run_script(bench.url, "DROP TRIGGER broken")
            async with asyncio.timeout(WAIT_S):
                assert (await asking).ok


async def test_a_request_that_begins_just_after_the_lease_was_lost_stops_nobody(bench: Bench, handbook: Any) -> None:
    """Its sync takes the lease, which first ends all requests of the lost lease, also this one."""
    async with bench.library(handbook) as first, bench.library(handbook) as other, leading(first):
        await wait_for(lambda: first.syncs.leader.lease.term)
        term = first.syncs.leader.lease.term
        await end_lease(bench.url)
        async with lead_elsewhere(bench.url):
            assert await first.syncs.leader.has_lost(term)
            asking = asyncio.create_task(other.refresh())
            await wait_for(first.syncs.leader._keeping[0].done)
        async with asyncio.timeout(WAIT_S):
            assert (await asking).ok
        await wait_for(lambda: first.syncs.leader.lease.term)


async def test_a_process_that_never_leads_waits_for_a_leader(
    shared: Bench, handbook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.owner = lambda: LeaseOwner(may_lead=False)
    async with shared.library(handbook) as answers:
        asking = asyncio.create_task(answers.refresh())
        await asyncio.sleep(0.1)
        shared.owner = LeaseOwner
        async with shared.library(handbook) as leader, leading(leader):
            assert (await asking).sources["handbook"].added == 2
        monkeypatch.setattr(requests, "_NO_LEADER_S", 0.0)
        with pytest.raises(NobodyLeads, match="KVASIR_ROLE"):
            await answers.refresh()
        assert (await answers.status()).leader is None


async def test_what_a_stopped_leader_writes_late_is_refused(shared: Bench, handbook: Any) -> None:
    async with shared.library(handbook) as first, shared.library(handbook) as second:
        await first.refresh()
        handbook.put("holiday.md", "# Holidays\nForty days of holiday a year.")
        shared.embedder.gate.clear()
        begun = asyncio.Event()
        late = asyncio.create_task(first.refresh(on_progress=lambda _: begun.set()))
        await begun.wait()
        term = first.syncs.leader.lease.term
        await end_lease(shared.url)
        async with leading(second):
            await wait_for(lambda: second.syncs.leader.lease.term)
            assert second.syncs.leader.lease.term > term
            shared.embedder.gate.set()
            report = await late  # the first process asks the second one for what it may not do itself any more
            assert (report.ok, first.syncs.leader.lease.term) == (True, 0)
            assert "Forty days of holiday a year." in await texts(first, "how many days of holiday")
            assert await compare(second) == 0


async def test_a_leader_that_loses_the_lease_ends_its_work_and_leads_again_later(shared: Bench, handbook: Any) -> None:
    works = 0

    @contextlib.asynccontextmanager
    async def work() -> AsyncIterator[None]:
        nonlocal works
        works += 1
        try:
            yield
        finally:
            works -= 1

    async with shared.library(handbook) as library, open_lease(shared.url) as other:
        leading = asyncio.create_task(library.syncs.leader.lead(work))
        await wait_for(lambda: works)
        await end_lease(shared.url)
        assert await other.try_take()
        asking = asyncio.create_task(library.refresh())  # it finds out that this process does not lead any more
        await wait_for(lambda: not works)
        assert not asking.done()
        await other.release()
        assert (await asking).ok
        await wait_for(lambda: works)
        leading.cancel()
        await asyncio.wait([leading])
        assert await texts(library, "holiday") != []


async def test_one_nightly_tick_of_three_libraries_syncs_and_compares_once(
    shared: Bench, handbook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[float] = []
    record = IndexManifest.record_repair

    async def count(manifest: IndexManifest, repair: LastRepair) -> None:
        compared.append(repair.at)
        await record(manifest, repair)

    monkeypatch.setattr(IndexManifest, "record_repair", count)

    @contextlib.asynccontextmanager
    async def lead(library: Library) -> AsyncIterator[None]:
        async with library.syncs.run_schedule() as schedule:
            make_due(schedule)
            yield

    async with contextlib.AsyncExitStack() as stack:
        libraries = [await stack.enter_async_context(shared.library(handbook)) for _ in range(3)]
        tasks = [asyncio.create_task(one.syncs.leader.lead(lambda one=one: lead(one))) for one in libraries]
        async with asyncio.timeout(WAIT_S):
            while (await libraries[0].status()).sources[0].synced_at is None:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.05)
        leaders = [one for one in libraries if one.syncs.leader.lease.term]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert len(leaders) == 1
        assert handbook.calls.count("list") == 1
        assert len(compared) == 1
        assert (await libraries[0].status()).last_repair is not None
