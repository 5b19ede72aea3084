"""The lease of the leader on SQLite and PostgreSQL: who gets it, when, and what a late writer may do."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, text

from knowledge.database.database import WRITE_LOCK
from knowledge.errors import DatabaseUnavailable, LeaseLost
from knowledge.sync.fence import Fence
from knowledge.sync.manifest import lease
from knowledge.sync.manifest.lease import VALID_S, Lease
from knowledge.sync.manifest.manifest import Manifest, open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from knowledge.sync.manifest.requests import REFRESH, Requests
from knowledge.sync.report import SyncProgress, SyncReport
from knowledge.sync.requests import ask_for
from tests.postgres import create_database
from tests.sync.doubles import MemoryStore
from tests.sync.leaders import end_lease, open_lease
from tests.waiting import WAIT_S


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def manifest(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Manifest]:
    """Give a manifest with tables, in a database of each kind."""
    url = (
        f"sqlite:///{tmp_path / 'kvasir.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("empty_postgres")
    )
    manifest = await open_manifest(url)
    manifest.url = url  # type: ignore[attr-defined]
    yield manifest
    await manifest.close()


@contextlib.asynccontextmanager
async def two_leases(manifest: Any, **options: Any) -> AsyncIterator[tuple[Lease, Lease]]:
    async with open_lease(manifest.url, **options) as ours, open_lease(manifest.url, **options) as theirs:
        yield ours, theirs


async def test_one_process_leads_and_terms_only_grow(manifest: Manifest) -> None:
    async with two_leases(manifest) as (ours, theirs):
        assert await ours.find_leader() is None
        taken = await asyncio.gather(ours.try_take(), theirs.try_take())
        assert sorted(taken) == [False, True]
        leader, other = (ours, theirs) if taken[0] else (theirs, ours)
        assert (leader.term, other.term) == (1, 0)
        progress = SyncProgress("docs", 9, 3, 0, 9, 1.0, None)
        await leader.renew({"docs": progress})
        state = await other.find_leader()
        assert state is not None
        assert (state.label, state.is_this_process, state.progress) == (leader.owner.label, False, {"docs": progress})
        await leader.release()
        assert await other.find_leader() is None
        assert await other.try_take()
        assert other.term == 2
        assert not await leader.try_take()


async def test_a_lease_that_has_ended_is_taken_and_its_owner_notices(manifest: Any) -> None:
    async with two_leases(manifest) as (ours, theirs):
        assert await ours.try_take()
        await end_lease(manifest.url)
        await ours.renew()  # nobody has taken it, so it goes on
        assert not await theirs.try_take()
        await end_lease(manifest.url)
        assert await theirs.try_take()
        with pytest.raises(LeaseLost):
            await ours.renew()
        assert (ours.term, theirs.term) == (0, 2)
        assert not await ours.try_take()


async def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(manifest: Any) -> None:
    async with open_lease(manifest.url) as dead, open_lease(manifest.url, is_dead=lambda _: True) as ours:
        await dead.try_take()
        assert await ours.find_leader() is None
        assert await ours.try_take()
        assert ours.term == 2


async def test_a_late_writer_is_refused_by_the_manifest_and_the_store(manifest: Any) -> None:
    store = MemoryStore()
    async with two_leases(manifest) as (ours, theirs):
        assert await ours.try_take()
        fence = Fence(ours, ours.term)
        fenced, fenced_store = fence.guard_manifest(manifest), fence.guard_store(store)
        row = await fenced.add_index(IndexIdentity("memory", "e", "c", "t"))
        index = fenced.open_index(row)
        await index.add_pending_chunks(["1"])
        await fenced_store.delete(["1"])
        await end_lease(manifest.url)
        await theirs.try_take()
        for late in (
            index.add_pending_chunks(["2"]),
            index.forget_pending_chunks(["1"]),
            fenced.activate_index(row),
            fenced.forget_index(row),
            fenced_store.write([]),
            fenced_store.delete(["1"]),
            fenced_store.drop_index("i"),
        ):
            with pytest.raises(LeaseLost):
                await late
        assert list(await index.list_pending_chunks(9)) == ["1"], "reads go on"
        assert store.calls == ["delete"]
        await theirs.release()
        assert await ours.try_take()
        with pytest.raises(LeaseLost):
            await index.add_pending_chunks(["2"])  # of the old run, although this process leads again
        await Fence(ours, ours.term).guard_manifest(manifest).open_index(row).add_pending_chunks(["2"])


async def test_a_call_of_the_store_after_the_time_of_the_lease_renews_it_first(manifest: Any) -> None:
    now = 0.0
    async with two_leases(manifest) as (ours, theirs):
        leader = Lease(ours.database, ours.owner, monotonic=lambda: now)
        await leader.try_take()
        store = MemoryStore()
        fenced = Fence(leader, leader.term).guard_store(store)
        now = VALID_S + 60
        await end_lease(manifest.url)
        await fenced.delete(["1"])  # stopped for a minute, and nobody has taken the lease
        assert not await theirs.try_take()
        now += VALID_S + 60
        await end_lease(manifest.url)
        await theirs.try_take()
        with pytest.raises(LeaseLost):
            await fenced.delete(["1"])
        assert store.calls == ["delete"]
        assert leader.term == 0


async def test_a_lease_is_renewed_while_a_long_transaction_writes(manifest: Any) -> None:
    """A transaction of PostgreSQL may take a minute; a file is locked meanwhile, so nobody can take the lease."""
    if manifest.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    async with two_leases(manifest) as (ours, theirs):
        assert await ours.try_take()

        def write_slowly(connection: Connection) -> None:
            connection.execute(text("SELECT pg_sleep(2)"))

        writing = asyncio.create_task(ours.database.write(write_slowly))
        await asyncio.sleep(0.2)
        await ours.renew()
        assert not writing.done()
        assert not await theirs.try_take()
        await writing


async def test_a_request_is_taken_again_unless_it_is_served_or_of_a_later_leader(manifest: Manifest) -> None:
    requests, elsewhere = Requests(manifest.database), Requests(manifest.database, "other")
    ids = [await requests.add_request(REFRESH, source, {}) for source in ("docs", "wiki")]
    assert [one.source for one in await requests.take_requests(1)] == ["docs", "wiki"]
    assert await requests.take_requests(1, ids) == []
    assert [one.id for one in await requests.take_requests(1, ids[1:])] == ids[:1], "the first answer was lost"
    await requests.record_report(ids[1], 1, SyncReport({}, 0.0))
    assert [one.id for one in await requests.take_requests(2)] == ids[:1]
    assert await requests.take_requests(1) == []
    assert await elsewhere.take_requests(3) == []


async def test_a_caller_that_goes_while_its_request_is_stored_leaves_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    manifest = await open_manifest(url)
    requests = Requests(manifest.database)
    with contextlib.closing(sqlite3.connect(tmp_path / "kvasir.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = asyncio.create_task(ask_for(requests, REFRESH, Lease(manifest.database)))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.sleep(0)
        other.execute("COMMIT")
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert await requests.take_requests(1) == []
    await manifest.close()


@contextlib.asynccontextmanager
async def hold_lock(url: str, lock: int) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Hold a lock in a transaction, and say nothing between the preparation of a statement and its execution."""
    connection = await asyncpg.connect(url.partition("?")[0], statement_cache_size=0)
    await connection.execute(
        "BEGIN; SELECT set_config('idle_in_transaction_session_timeout', '1s', true);"
        f"SELECT pg_advisory_xact_lock({lock})"
    )
    await connection.prepare("SELECT 1", name="")
    yield connection
    connection.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["empty_postgres", "pooled_postgres"])
async def test_the_leader_ends_a_silent_client_that_has_the_lock_of_writers(
    shared_postgres: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Also one of a process that does not lead. PostgreSQL does not end it, and would let all writers wait."""
    url, locks = request.getfixturevalue(way), text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    await (await open_manifest(url)).close()

    async def count_locks(lease: Lease) -> int:
        await lease.renew()
        return int((await lease.database.fetch_rows(locks))[0][0])

    async with open_lease(url) as leader:
        assert await leader.try_take()
        async with (
            hold_lock(url, WRITE_LOCK),
            hold_lock(url, 1),
            hold_lock(create_database(shared_postgres), WRITE_LOCK),
        ):
            await asyncio.sleep(1.5)
            assert await count_locks(leader) == 3, "PostgreSQL's own limit has ended nobody"
            monkeypatch.setattr(lease, "_SILENT_S", 1.0)
            await leader.renew()
            async with asyncio.timeout(WAIT_S):
                await leader.database.write(lambda connection: connection.execute(text("SELECT 1")))
            assert await count_locks(leader) == 2, "the other two stop no writer of this database"
        monkeypatch.setattr(lease, "_SILENT_S", 0.2)
        slow = asyncio.create_task(leader.database.write(lambda one: one.execute(text("SELECT pg_sleep(1)"))))
        sleeping = text("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")
        async with asyncio.timeout(WAIT_S):
            while not await leader.database.fetch_rows(sleeping):
                pass
        await asyncio.sleep(0.3)
        assert await count_locks(leader) == 1
        await slow  # it works, so nobody ends it


async def test_another_machine_may_not_use_the_file_of_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    manifest = await open_manifest(url)
    async with open_lease(url, machine="a") as ours, open_lease(url, machine="b") as theirs:
        assert await ours.try_take()
        await ours.check_machine()
        for use in (theirs.check_machine, theirs.try_take):
            with pytest.raises(DatabaseUnavailable, match="Another machine uses this SQLite database"):
                await use()
        await ours.release()
        await theirs.check_machine()
        assert await theirs.try_take()
    await manifest.close()


@pytest.mark.slow
async def test_machines_share_a_postgresql(empty_postgres: str) -> None:
    manifest = await open_manifest(empty_postgres)
    async with open_lease(empty_postgres, machine="a") as ours, open_lease(empty_postgres, machine="b") as theirs:
        assert await ours.try_take()
        await theirs.check_machine()
        assert not await theirs.try_take()
    await manifest.close()
