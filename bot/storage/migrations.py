"""All sets of tables in a database of Kvasir. Only ``kvasir migrate`` and ``kvasir run`` change those that exist."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from bot.storage.tables import MIGRATIONS as BOT
from bot.storage.turns.ledger import Ledger, open_ledger
from knowledge.database.migrations import apply_revisions
from knowledge.sync.manifest.tables import MIGRATIONS as MANIFEST

ALL_MIGRATIONS: Final = (MANIFEST, BOT)


async def migrate_tables(url: str) -> None:
    """Bring all tables to their newest revision.

    Raises:
        DatabaseError: the database fails, or a newer Kvasir made its tables.

    """
    for migrations in ALL_MIGRATIONS:
        await apply_revisions(url, migrations)


@contextlib.asynccontextmanager
async def open_migrated_ledger(url: str, migration_url: str, confidential: frozenset[str]) -> AsyncIterator[Ledger]:
    """Migrate all tables, and open the ledger; raises as ``migrate_tables``."""
    await migrate_tables(migration_url)
    async with open_ledger(url, confidential=confidential) as ledger:
        yield ledger
