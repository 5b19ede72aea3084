"""Versioned migrations by Alembic: which revision a set of tables has, and how it becomes the newest one.

The module of a revision says ``compatible_since``: the oldest revision whose Kvasir runs with the tables of this one.
The database stores it, so that an update can be taken back. Without it, only Kvasirs that know the revision run.

Each revision of tables with rows is a transaction of its own, so that other processes wait only for one. What changes
many rows is a function ``backfill`` of the module: it gets a connection, changes some rows, and returns whether there
may be more. Each call is a transaction. When it returns False, the revision counts as applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select, update

from knowledge.database.database import Database, DatabaseOptions, parse_url
from knowledge.errors import DatabaseError

if TYPE_CHECKING:
    from alembic.config import Config

ENVIRONMENT: Final = Path(__file__).parent / "environment"
"""The folder that Alembic runs migrations from."""
_PATIENT: Final = DatabaseOptions(lock_wait_s=60.0, answer_s=600.0)
"""The options of a migration: another process may be at it, and large tables take their time."""
_COMPATIBLE_SINCE: Final = "compatible_since"
_PAUSE_S: Final = 0.1
"""The pause between two parts of a backfill, in which other processes write."""
_LOCKS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()
"""Alembic keeps what a migration works on in globals, so an event loop runs one migration at a time."""


@dataclass(frozen=True, slots=True)
class Migrations:
    """The revisions of one set of tables. Each revision is written once and never changed."""

    name: str
    """What people call the tables."""
    versions: Path
    newest: str
    """The revision of the tables that this Kvasir uses."""
    table: str
    """The table that stores a database's revision."""
    find_unversioned: Callable[[Connection], str | None] = lambda _: None
    """Returns the revision of tables that a Kvasir without Alembic made, None where the first revision adopts them."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A step of a migration."""

    id: str
    summary: str
    compatible_since: str
    """The oldest revision whose Kvasir runs with the tables after this step."""
    backfill: Callable[[Connection], bool] | None = field(default=None, compare=False)
    """Changes some rows before the step; returns whether there may be more. Each look loads another function."""


async def open_database(url: str, migrations: Migrations, options: DatabaseOptions) -> Database:
    """Connect, and make the tables if there are none. Tables of an older Kvasir are never changed here.

    Raises:
        DatabaseError: the database cannot be opened, or its tables are of an older Kvasir, or of a newer one with
            which this one cannot run.

    """
    database = Database(url, options)
    try:
        revision = await database.read(partial(read_revision, migrations=migrations))
        if revision is None:
            await apply_revisions(url, migrations)
        else:
            _refuse_older(revision, migrations)
    except BaseException:
        await database.close()
        raise
    return database


def _refuse_older(revision: str, migrations: Migrations) -> None:
    if revision < migrations.newest:
        raise DatabaseError(
            f"The {migrations.name}'s tables of this database have revision {revision}, and this Kvasir needs "
            f"{migrations.newest}. Run `kvasir migrate --apply`, or start Kvasir, which applies it too."
        )


async def apply_revisions(url: str, migrations: Migrations, until: str | None = None) -> list[Revision]:
    """Bring the tables to the newest revision, or to another one; return the steps.

    Of several processes at once, one migrates.

    Raises:
        DatabaseError: the database fails, or a newer Kvasir made its tables.

    """
    async with _LOCKS.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        database = Database(url, _PATIENT)
        try:
            apply = partial(_apply_next, migrations=migrations, until=until or migrations.newest)
            applied: list[Revision] = []
            while (steps := await database.write(apply)) is not None:
                applied += steps
                await asyncio.sleep(0 if steps else _PAUSE_S)
            return applied
        finally:
            await database.close()


async def list_due_revisions(url: str, migrations: Migrations) -> list[Revision]:
    """Return the steps that the tables lack; nothing is written, and no file is made.

    Raises:
        DatabaseError: the database fails, or a newer Kvasir made its tables.

    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return _list_revisions(migrations, None, migrations.newest)
    database = Database(url)
    try:
        revision = await database.read(partial(read_revision, migrations=migrations))
        return _list_revisions(migrations, revision, migrations.newest)
    finally:
        await database.close()


def read_revision(connection: Connection, migrations: Migrations) -> str | None:
    """Return the revision of a set of tables, None where there are none.

    Raises:
        DatabaseError: a newer Kvasir made them, and this one cannot run with them.

    """
    if inspect(connection).has_table(migrations.table):
        stored = Table(migrations.table, MetaData(), Column("version_num", String))
        revision = connection.execute(select(stored.c.version_num)).scalar_one_or_none()
    else:
        revision = migrations.find_unversioned(connection)
    if revision is not None and revision > migrations.newest and not _is_compatible(connection, migrations):
        raise DatabaseError(
            f"A newer Kvasir wrote this database: the {migrations.name}'s tables have revision {revision}, and this "
            f"Kvasir knows {migrations.newest}. Start the newer one, or set another KVASIR_HOME or KVASIR_DATABASE_URL."
        )
    return revision


def _is_compatible(connection: Connection, migrations: Migrations) -> bool:
    """Return whether this Kvasir runs with tables of a newer one."""
    stored = Table(migrations.table, MetaData(), autoload_with=connection)
    if _COMPATIBLE_SINCE not in stored.c:
        return False
    since = connection.execute(select(stored.c[_COMPATIBLE_SINCE])).scalar_one()
    return since is not None and since <= migrations.newest


def _apply_next(connection: Connection, migrations: Migrations, until: str) -> list[Revision] | None:
    """Apply the next revision, or all if there are no tables; none if it has more to fill. Return None at the end."""
    from alembic import command  # noqa: PLC0415 - only a start that migrates needs it

    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(migrations.table))))
    revision = read_revision(connection, migrations)  # another process may have been first
    steps = _list_revisions(migrations, revision, until)
    if not steps:
        return None
    if revision is not None:
        steps = steps[:1]
        if steps[0].backfill is not None and steps[0].backfill(connection):
            return []
    config = _make_config(migrations)
    config.attributes.update(connection=connection, version_table=migrations.table)
    if revision is not None and not inspect(connection).has_table(migrations.table):
        command.stamp(config, revision)
    command.upgrade(config, steps[-1].id)
    _store_compatibility(connection, migrations, steps[-1].compatible_since)
    return steps


def _store_compatibility(connection: Connection, migrations: Migrations, since: str) -> None:
    """Store in Alembic's own row from which revision on a Kvasir runs with the tables."""
    if all(column["name"] != _COMPATIBLE_SINCE for column in inspect(connection).get_columns(migrations.table)):
        connection.exec_driver_sql(f"ALTER TABLE {migrations.table} ADD COLUMN {_COMPATIBLE_SINCE} VARCHAR(32)")
    stored = Table(migrations.table, MetaData(), Column(_COMPATIBLE_SINCE, String))
    connection.execute(update(stored).values({_COMPATIBLE_SINCE: since}))


def _list_revisions(migrations: Migrations, after: str | None, until: str) -> list[Revision]:
    """Return the revisions after one, oldest first."""
    if after is not None and after >= until:
        return []
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory.from_config(_make_config(migrations))
    found = script.iterate_revisions(until, after or "base")
    return [
        Revision(
            one.revision,
            one.doc,
            getattr(one.module, _COMPATIBLE_SINCE, one.revision),
            getattr(one.module, "backfill", None),
        )
        for one in found
    ][::-1]


def _make_config(migrations: Migrations) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    for option, folder in (("script_location", ENVIRONMENT), ("version_locations", migrations.versions)):
        config.set_main_option(option, str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
