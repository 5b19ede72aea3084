"""Versioned migrations by Alembic: which revision a database has, and how it gets the newest tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

if TYPE_CHECKING:
    from alembic.config import Config

ENVIRONMENT: Final = Path(__file__).parent / "environment"
"""The folder that Alembic runs migrations from."""


@dataclass(frozen=True, slots=True)
class Migrations:
    """The revisions of one set of tables. Each revision is written once and never changed."""

    versions: Path
    """The folder of the revisions."""
    newest: str
    """The revision of the tables that this Kvasir uses."""
    table: str
    """The table that stores a database's revision."""
    find_unversioned: Callable[[Connection], str | None]
    """Returns the revision of tables that a Kvasir without Alembic made, None where there are none."""


def read_revision(connection: Connection, migrations: Migrations) -> str | None:
    """Return the revision of a database, None for one without tables."""
    if not inspect(connection).has_table(migrations.table):
        return migrations.find_unversioned(connection)
    stored = Table(migrations.table, MetaData(), Column("version_num", String))
    return connection.execute(select(stored.c.version_num)).scalar_one_or_none()


def upgrade(connection: Connection, migrations: Migrations) -> None:
    """Bring a database's tables to the newest revision, within the transaction of the connection.

    Tables of an unknown revision, which a newer Kvasir made, stay as they are.
    """
    from alembic import command  # noqa: PLC0415 - only a start that migrates needs it

    revision = read_revision(connection, migrations)
    if revision == migrations.newest or (revision is not None and revision > migrations.newest):
        return
    config = _alembic_config(connection, migrations)
    if revision is not None and not inspect(connection).has_table(migrations.table):
        command.stamp(config, revision)
    command.upgrade(config, migrations.newest)


def _alembic_config(connection: Connection, migrations: Migrations) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    for option, folder in (("script_location", ENVIRONMENT), ("version_locations", migrations.versions)):
        config.set_main_option(option, str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(connection=connection, version_table=migrations.table)
    return config
