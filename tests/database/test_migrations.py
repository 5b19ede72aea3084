"""What holds for the revisions of every set of tables."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from bot.storage import tables as bot_tables
from knowledge.database.database import Database, DatabaseOptions
from knowledge.database.failures import wait_for_database
from knowledge.database.migrations import (
    ENVIRONMENT,
    Migrations,
    apply_revisions,
    list_due_revisions,
    open_database,
)
from knowledge.errors import DatabaseError, DatabaseUnavailable
from knowledge.sync.manifest import tables as manifest_tables
from knowledge.sync.manifest.tables import MIGRATIONS as MANIFEST
from tests.database.scripts import run_script
from tests.postgres import create_database

EVERY = pytest.mark.parametrize(
    ("migrations", "declared"),
    [(MANIFEST, manifest_tables.tables), (bot_tables.MIGRATIONS, bot_tables.tables)],
    ids=["manifest", "bot"],
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'kvasir.db'}"


@EVERY
async def test_the_revisions_make_the_tables_that_the_code_declares(
    url: str, migrations: Migrations, declared: MetaData
) -> None:
    database = await open_database(url, migrations, DatabaseOptions())

    def compare(connection: Connection) -> list[Any]:
        def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
            return kind != "table" or name != migrations.table

        context = MigrationContext.configure(connection, opts={"include_object": ours})
        differences: list[Any] = compare_metadata(context, declared)
        return differences

    assert await database.read(compare) == []
    await database.close()


@EVERY
def test_the_newest_revision_is_the_last_of_the_folder(migrations: Migrations, declared: MetaData) -> None:
    assert declared.tables
    script = ScriptDirectory(str(ENVIRONMENT), version_locations=[str(migrations.versions)])
    assert script.get_heads() == [migrations.newest]


@EVERY
async def test_what_is_due_is_applied_once(url: str, migrations: Migrations, declared: MetaData) -> None:
    due = await list_due_revisions(url, migrations)
    assert due[-1].id == migrations.newest
    assert not Path(url.removeprefix("sqlite:///")).exists(), "a look makes no file"
    applied = await asyncio.gather(*(apply_revisions(url, migrations) for _ in range(3)))
    assert sorted(applied, key=len) == [[], [], due]
    assert await list_due_revisions(url, migrations) == []
    assert {one.summary for one in due}.isdisjoint({"", None})
    assert declared.tables


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
async def test_several_databases_of_one_process_migrate_at_once(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    both = (MANIFEST, bot_tables.MIGRATIONS)
    urls = [f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(4)]
    if kind == "postgres":
        urls = [create_database(request.getfixturevalue("shared_postgres")) for _ in both]
    async with asyncio.timeout(240):
        steps = await asyncio.gather(*(apply_revisions(url, migrations) for url in urls for migrations in both))
    assert all(steps)


@EVERY
async def test_tables_of_a_newer_kvasir_are_refused(url: str, migrations: Migrations, declared: MetaData) -> None:
    await apply_revisions(url, migrations)
    database = Database(url)
    newer = f"UPDATE {migrations.table} SET version_num = '0099', compatible_since = '0099'"
    await database.write(lambda connection: connection.exec_driver_sql(newer))
    for work in (apply_revisions, list_due_revisions):
        with pytest.raises(DatabaseError, match=f"{migrations.name}'s tables have revision 0099"):
            await work(url, migrations)
    await database.close()
    assert declared.tables


@EVERY
async def test_tables_of_a_newer_kvasir_that_are_compatible_are_used_and_left_alone(
    url: str, migrations: Migrations, declared: MetaData
) -> None:
    await apply_revisions(url, migrations)
    newer = f"UPDATE {migrations.table} SET version_num = '0099', compatible_since = '{migrations.newest}'"
    await run_script(url, newer)
    for work in (apply_revisions, list_due_revisions):
        assert await work(url, migrations) == []
    database = await open_database(url, migrations, DatabaseOptions())
    (revision,) = await database.fetch_rows(text(f"SELECT version_num FROM {migrations.table}"))
    assert revision == ("0099",)
    await database.close()
    assert declared.tables


@EVERY
async def test_tables_of_a_newer_kvasir_that_says_nothing_are_refused(
    url: str, migrations: Migrations, declared: MetaData
) -> None:
    """Kvasirs before this one made the row without the second column."""
    await run_script(url, f"CREATE TABLE {migrations.table} (version_num VARCHAR(32))")
    await run_script(url, f"INSERT INTO {migrations.table} VALUES ('0099')")
    with pytest.raises(DatabaseError, match="newer Kvasir"):
        await open_database(url, migrations, DatabaseOptions())
    assert declared.tables


@EVERY
async def test_tables_of_an_older_kvasir_are_changed_by_a_migration_alone(
    url: str, migrations: Migrations, declared: MetaData
) -> None:
    before, last = [one.id for one in await list_due_revisions(url, migrations)][-2:]
    await apply_revisions(url, migrations, until=before)
    with pytest.raises(DatabaseError, match=rf"revision {before}, .* needs {last}\. Run `kvasir migrate --apply`"):
        await open_database(url, migrations, DatabaseOptions())
    assert [one.id for one in await apply_revisions(url, migrations)] == [last]
    await (await open_database(url, migrations, DatabaseOptions())).close()
    assert declared.tables


@EVERY
def test_each_new_revision_says_since_when_it_is_compatible(migrations: Migrations, declared: MetaData) -> None:
    """Those of the first release do not: no Kvasir before reads it."""
    script = ScriptDirectory(str(ENVIRONMENT), version_locations=[str(migrations.versions)])
    found = sorted((one.revision, getattr(one.module, "compatible_since", "")) for one in script.walk_revisions())
    silent = [revision for revision, since in found if not since]
    assert silent[-1] == {"manifest": "0006", "bot": "0022"}[migrations.name]
    named = [since for _, since in found if since]
    assert named == sorted(named)
    assert all(since <= revision for revision, since in found)
    assert declared.tables


async def test_rows_are_changed_in_parts(url: str, tmp_path: Path) -> None:
    """A migration that dies between two parts is continued by the next one."""
    first = tmp_path / "versions" / "r0001_first.py"
    first.parent.mkdir()
    first.write_text('"""First."""\nrevision, down_revision = "0001", None\ndef upgrade(): pass\n')
    before = Migrations("test", first.parent, "0001", "test_revision")
    await apply_revisions(url, before)
    await run_script(url, "CREATE TABLE numbers (n INTEGER);\nINSERT INTO numbers VALUES (1), (2), (3), (4)")
    later = (
        '"""Negative numbers."""\nrevision, down_revision = "0002", "0001"\n'
        "def backfill(connection):\n"
        "    if connection.exec_driver_sql('SELECT count(*) FROM numbers WHERE n < 0').scalar() == {dies}: 1 / 0\n"
        "    change = 'UPDATE numbers SET n = -n WHERE n = (SELECT max(n) FROM numbers WHERE n > 0)'\n"
        "    return connection.exec_driver_sql(change).rowcount > 0\n"
        "def upgrade(): pass\n"
    )
    after = dataclasses.replace(before, newest="0002")

    async def read_numbers() -> list[int]:
        database = Database(url)
        rows = await database.fetch_rows(text("SELECT n FROM numbers ORDER BY n"))
        await database.close()
        return [n for (n,) in rows]

    (first.parent / "r0002_later.py").write_text(later.format(dies=2))
    with pytest.raises(ZeroDivisionError):
        await apply_revisions(url, after)
    assert await read_numbers() == [-4, -3, 1, 2]
    (first.parent / "r0002_later.py").write_text(later.format(dies=-1))
    assert [one.id for one in await list_due_revisions(url, after)] == ["0002"]
    assert [one.id for one in await apply_revisions(url, after)] == ["0002"]
    assert await read_numbers() == [-4, -3, -2, -1]


async def test_a_start_waits_for_a_database_that_is_unavailable(url: str) -> None:
    def open_manifest() -> Awaitable[Database]:
        return open_database(url, MANIFEST, DatabaseOptions(lock_wait_s=0.05))

    reasons: list[str] = []
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseUnavailable, match="locked by another program"):
            await wait_for_database(open_manifest, 0.0)
        opening = asyncio.create_task(wait_for_database(open_manifest, on_wait=lambda one: reasons.append(str(one))))
        await asyncio.sleep(0.3)
        assert not opening.done()
        other.execute("ROLLBACK")
    await (await opening).close()
    assert len(reasons) == 1
