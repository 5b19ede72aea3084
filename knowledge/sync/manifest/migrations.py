"""The revisions of the manifest's tables, see ``knowledge.database.migrations``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, inspect, select

from knowledge.database.migrations import Migrations
from knowledge.sync.manifest.tables import schema


def _find_unversioned(connection: Connection) -> str | None:
    """Return the revision of tables that a Kvasir without Alembic made, None if there are none."""
    if not inspect(connection).has_table(schema.name):
        return None
    return f"{connection.execute(select(func.max(schema.c.version))).scalar_one():04}"


MIGRATIONS: Final = Migrations(
    name="manifest",
    versions=Path(__file__).parent / "versions",
    newest="0005",
    table="knowledge_revision",
    find_unversioned=_find_unversioned,
)
