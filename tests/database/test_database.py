"""Transactions of the database layer, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from knowledge.database.database import Database, DatabaseOptions, transaction
from knowledge.errors import DatabaseError, DatabaseUnavailable
from tests.database.scripts import EMPTY_POSTGRESQL, run_script
from tests.postgres import postgres_server
from tests.waiting import WAIT_S

COUNT = text("SELECT count(*) FROM numbers")


class Numbers:
    """Rows of one table."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @transaction
    def add(self, connection: Connection, number: int, *, fail: bool = False) -> int:
        connection.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
        if fail:
            raise ZeroDivisionError
        return int(connection.execute(COUNT).scalar_one())

    async def count(self) -> int:
        return int((await self.database.fetch_rows(COUNT))[0][0])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database with one empty table."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    else:
        url = request.getfixturevalue("server")
        await run_script(url, EMPTY_POSTGRESQL)
    await run_script(url, "CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    return url


@pytest.fixture
async def numbers(url: str) -> AsyncIterator[Numbers]:
    database = Database(url)
    yield Numbers(database)
    await database.close()


async def test_a_transaction_returns_what_its_work_returns(numbers: Numbers) -> None:
    assert await asyncio.gather(*(numbers.add(number) for number in range(5))) == [1, 2, 3, 4, 5]
    assert await numbers.count() == 5


async def test_a_transaction_whose_work_raises_changes_nothing(numbers: Numbers) -> None:
    with pytest.raises(ZeroDivisionError):
        await numbers.add(1, fail=True)
    assert await numbers.count() == 0
    with pytest.raises(DatabaseError, match="numbers"):
        await asyncio.gather(numbers.add(1), numbers.add(1))
    assert await numbers.count() == 1


async def test_a_cancelled_transaction_ends_before_its_caller_goes_on(numbers: Numbers) -> None:
    for number in range(20):
        call = asyncio.create_task(numbers.add(number))
        for _ in range(number + 1):
            await asyncio.sleep(0)
        if call.cancel():  # else the thread was faster
            with pytest.raises(asyncio.CancelledError):
                await call
        assert await numbers.count() == number + 1


async def test_a_long_write_delays_no_read_and_the_next_write_waits(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    await run_script(url, "CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    database, proceed = Database(url, DatabaseOptions(lock_wait_s=0.05)), threading.Event()
    slow = asyncio.create_task(database.write(lambda _: proceed.wait(20)))
    await asyncio.sleep(0.1)
    next_ = asyncio.create_task(Numbers(database).add(1))
    assert await Numbers(database).count() == 0
    assert not next_.done()
    proceed.set()
    assert await slow
    assert await next_ == 1
    await database.close()


async def test_another_program_s_lock_is_waited_for_and_then_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    await run_script(url, "CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    patient, hasty = Database(url), Database(url, DatabaseOptions(lock_wait_s=0.05))
    with contextlib.closing(sqlite3.connect(tmp_path / "kvasir.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(Numbers(patient).add(1))
        with pytest.raises(DatabaseUnavailable, match=r"kvasir\.db is locked by another program"):
            await Numbers(hasty).add(2)
        assert await Numbers(hasty).count() == 0
        other.execute("ROLLBACK")
    assert await waiting == 1
    await patient.close()
    await hasty.close()


async def test_a_process_that_ends_takes_no_write_of_another_one_away(tmp_path: Path) -> None:
    """The last process to close a database deletes its log; the locks of others say that it is not the last."""
    path = tmp_path / "numbers.db"
    await run_script(f"sqlite:///{path}", "CREATE TABLE numbers (number INTEGER)")
    database = Database(f"sqlite:///{path}")
    numbers = Numbers(database)
    await asyncio.gather(*(numbers.count() for _ in range(5)), numbers.add(1))
    log = path.with_name("numbers.db-wal").stat().st_ino
    script = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('SELECT 1 FROM numbers'); c.close()"
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await other.wait() == 0
    assert path.with_name("numbers.db-wal").stat().st_ino == log
    await database.close()


async def test_a_file_that_another_program_makes_at_the_same_time_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself refuses the write-ahead log at once while another program writes to a new file."""
    with contextlib.closing(sqlite3.connect(tmp_path / "kvasir.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
        other.execute("BEGIN IMMEDIATE")
        patient = Database(f"sqlite:///{tmp_path / 'kvasir.db'}")
        waiting = asyncio.create_task(Numbers(patient).add(1))
        hasty = Database(f"sqlite:///{tmp_path / 'kvasir.db'}", DatabaseOptions(lock_wait_s=0.05))
        with pytest.raises(DatabaseUnavailable, match="is locked by another program"):
            await Numbers(hasty).add(2)
        other.execute("ROLLBACK")
    assert await waiting == 1
    await patient.close()
    await hasty.close()


@pytest.mark.slow
@pytest.mark.servers
async def test_a_server_that_was_away_is_used_again(server: str) -> None:
    """Its connections in the pool are dead: the next transaction opens another one."""
    database = Database(server)
    assert len(await database.fetch_rows(text("SELECT 1"))) == 1
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    await run_script(server, ended)
    assert len(await database.fetch_rows(text("SELECT 1"))) == 1
    await database.close()


@pytest.mark.slow
@pytest.mark.servers
async def test_a_server_without_a_free_connection_is_described_with_the_next_step(server: str) -> None:
    database, other = Database(server, DatabaseOptions(lock_wait_s=3.0)), Database(server)
    long = [asyncio.create_task(database.fetch_rows(text("SELECT pg_sleep(600)"))) for _ in range(15)]
    sleepers = "FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"
    sleeping = text(f"SELECT count(*) AS n {sleepers}")
    async with asyncio.timeout(WAIT_S):
        while (await other.fetch_rows(sleeping))[0].n < len(long):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    with pytest.raises(DatabaseUnavailable, match=r"All of Kvasir's connections to the PostgreSQL .* were in use"):
        await database.fetch_rows(text("SELECT 1"))
    await other.fetch_rows(text(f"SELECT pg_cancel_backend(pid) {sleepers}"))
    await asyncio.gather(*long, return_exceptions=True)
    await database.close()
    await other.close()
    await run_script(server, "CREATE ROLE crowded LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
    crowded = Database(server.replace("//kvasir:", "//crowded:"))
    with pytest.raises(DatabaseUnavailable, match=r"no more connections\. Raise its max_connections"):
        await crowded.fetch_rows(text("SELECT 1"))
    await crowded.close()


@pytest.mark.parametrize(
    "url", ["mysql://root:hunter2@h/db", "hunter2", "sqlite://", "sqlite:///:memory:", "sqlite:///"]
)
def test_a_database_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(DatabaseError, match=r"Write sqlite:///PATH or postgresql://") as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)
