"""Versioned migrations by Alembic: which revision a set of tables has, and how it becomes the newest one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select

from knowledge.database.database import Database, DatabaseOptions, parse_url
from knowledge.errors import DatabaseError

if TYPE_CHECKING:
    from alembic.config import Config

ENVIRONMENT: Final = Path(__file__).parent / "environment"
"""The folder that Alembic runs migrations from."""
_PATIENT: Final = DatabaseOptions(lock_wait_s=60.0, answer_s=600.0)
"""The options of a migration: another process may be at it, and large tables take their time."""
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


async def open_database(url: str, migrations: Migrations, options: DatabaseOptions) -> Database:
    """Connect, and bring the tables to the newest revision.

    Raises:
        DatabaseError: the database cannot be opened, or a newer Kvasir made its tables.

    """
    database = Database(url, options)
    try:
        if await database.read(partial(read_revision, migrations=migrations)) != migrations.newest:
            await apply_revisions(url, migrations)
    except BaseException:
        await database.close()
        raise
    return database


async def apply_revisions(url: str, migrations: Migrations) -> list[Revision]:
    """Bring the tables to the newest revision; return the steps. Of several processes at once, one migrates.

    Raises:
        DatabaseError: the database fails, or a newer Kvasir made its tables.

    """
    async with _LOCKS.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        database = Database(url, _PATIENT)
        try:
            return await database.write(partial(_apply_revisions, migrations=migrations))
        finally:
            await database.close()


async def list_due_revisions(url: str, migrations: Migrations) -> list[Revision]:
    """Return the steps that the tables lack; nothing is written, and no file is made.

    Raises:
        DatabaseError: the database fails, or a newer Kvasir made its tables.

    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return _list_revisions(migrations, None)
    database = Database(url)
    try:
        return _list_revisions(migrations, await database.read(partial(read_revision, migrations=migrations)))
    finally:
        await database.close()


def read_revision(connection: Connection, migrations: Migrations) -> str | None:
    """Return the revision of a set of tables, None where there are none.

    Raises:
        DatabaseError: a newer Kvasir made them.

    """
    if inspect(connection).has_table(migrations.table):
        stored = Table(migrations.table, MetaData(), Column("version_num", String))
        revision = connection.execute(select(stored.c.version_num)).scalar_one_or_none()
    else:
        revision = migrations.find_unversioned(connection)
    if revision is not None and revision > migrations.newest:
        raise DatabaseError(
            f"A newer Kvasir wrote this database: the {migrations.name}'s tables have revision {revision}, and this "
            f"Kvasir knows {migrations.newest}. Start the newer one, or set another KVASIR_HOME or KVASIR_DATABASE_URL."
        )
    return revision


def _apply_revisions(connection: Connection, migrations: Migrations) -> list[Revision]:
    from alembic import command  # noqa: PLC0415 - only a start that migrates needs it

    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(migrations.table))))
    revision = read_revision(connection, migrations)  # another process may have been first
    steps = _list_revisions(migrations, revision)
    if steps:
        config = _make_config(migrations)
        config.attributes.update(connection=connection, version_table=migrations.table)
        if revision is not None and not inspect(connection).has_table(migrations.table):
            command.stamp(config, revision)
        command.upgrade(config, migrations.newest)
    return steps


def _list_revisions(migrations: Migrations, after: str | None) -> list[Revision]:
    """Return the revisions after one, oldest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory.from_config(_make_config(migrations))
    found = script.iterate_revisions(migrations.newest, after or "base")
    return [Revision(one.revision, one.doc) for one in found][::-1]


def _make_config(migrations: Migrations) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    for option, folder in (("script_location", ENVIRONMENT), ("version_locations", migrations.versions)):
        config.set_main_option(option, str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
