"""Tests of changes that all processes of the bot share."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.storage import tables
from bot.storage.shared_changes import MAX_ROWS, ChangeKind, SharedCache, SharedChanges
from bot.storage.turns.ledger import open_ledger
from knowledge.database.database import Database
from knowledge.errors import DatabaseError
from tests.engine.fakes import until


class Reader:
    """The changes of another process, and the stops that it has read."""

    def __init__(self, database: Database) -> None:
        self.changes = SharedChanges(database)
        self.stops: list[str] = []
        self.changes.subscribe(ChangeKind.STOP, self.stops.append)


async def test_every_change_is_read_once(databases: tuple[Database, Database]) -> None:
    one, other = (Reader(database) for database in databases)
    await one.changes.publish_change(ChangeKind.STOP, "C1", "0.1")
    await one.changes.read_changes()
    await other.changes.read_changes()
    for number in range(3):
        await one.changes.publish_change(ChangeKind.STOP, "C1", f"{number}.5")
    for _ in range(2):
        await one.changes.read_changes()
        await other.changes.read_changes()
    assert one.stops == other.stops == ["C1 0.5", "C1 1.5", "C1 2.5"]


async def test_changes_of_many_writers_are_read_by_a_reader_that_is_never_behind(
    databases: tuple[Database, Database],
) -> None:
    """A number may not become visible after a larger one that was read."""
    reader = Reader(databases[0])
    await reader.changes.read_changes()
    writers = [SharedChanges(database) for database in databases for _ in range(4)]

    async def publish(writer: int) -> None:
        for number in range(25):
            await writers[writer].publish_change(ChangeKind.STOP, str(writer), str(number))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(publish(writer)) for writer in range(len(writers))]
        while not all(task.done() for task in tasks):
            await reader.changes.read_changes()
    await reader.changes.read_changes()
    assert sorted(reader.stops) == sorted(f"{writer} {number}" for writer in range(8) for number in range(25))


async def test_rows_are_bounded_and_a_reader_learns_of_missed_ones(databases: tuple[Database, Database]) -> None:
    reader = Reader(databases[0])
    await reader.changes.read_changes()
    writer = SharedChanges(databases[1])
    for number in range(MAX_ROWS + 20):
        await writer.publish_change(ChangeKind.STOP, str(number))
    rows = await databases[0].fetch_rows(sa.select(sa.func.count()).select_from(tables.changes))
    assert rows[0][0] == MAX_ROWS
    await reader.changes.read_changes()
    assert reader.stops[0] == ""


async def test_cache_reads_again_what_another_process_changed(databases: tuple[Database, Database]) -> None:
    shared = [SharedChanges(database) for database in databases]
    cache: SharedCache[int] = SharedCache(shared[0], ChangeKind.PREFERENCE)
    loaded: list[str] = []

    async def fetch(person: str) -> int:
        async def load() -> int:
            loaded.append(person)
            return len(loaded)

        return await cache.fetch_value(load, "T1", person)

    assert [await fetch("U1"), await fetch("U1")] == [1, 2]  # no changes have been read yet
    await shared[0].read_changes()
    assert [await fetch("U1"), await fetch("U1"), await fetch("U2"), await fetch("U2")] == [3, 3, 4, 4]
    await shared[1].publish_change(ChangeKind.PREFERENCE, "T1", "U1")
    await shared[0].read_changes()
    assert [await fetch("U1"), await fetch("U2"), await fetch("U1")] == [5, 4, 5]


async def test_cache_does_not_store_what_changed_while_it_was_read(databases: tuple[Database, Database]) -> None:
    shared = SharedChanges(databases[0])
    cache: SharedCache[str] = SharedCache(shared, ChangeKind.PREFERENCE)
    await shared.read_changes()

    async def load_old() -> str:
        await shared.publish_change(ChangeKind.PREFERENCE, "U1")
        await shared.read_changes()
        return "old"

    async def load_new() -> str:
        return "new"

    assert await cache.fetch_value(load_old, "U1") == "old"
    assert await cache.fetch_value(load_new, "U1") == "new"


async def test_reader_survives_a_failure_of_the_database(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path / 'l.sqlite3'}") as ledger:
        reader = Reader(ledger.database)
        await ledger.database.write(lambda c: c.exec_driver_sql("ALTER TABLE bot_changes RENAME TO lost"))
        with pytest.raises(DatabaseError):
            await reader.changes.read_changes()
        reader.changes.start()
        with reader.changes.watch_closely():
            await ledger.database.write(lambda c: c.exec_driver_sql("ALTER TABLE lost RENAME TO bot_changes"))
            await until(lambda: reader.changes.is_current)
            await reader.changes.publish_change(ChangeKind.STOP, "C1", "1.1")
            await until(lambda: bool(reader.stops))
        await reader.changes.close()
        assert reader.stops == ["C1 1.1"]
