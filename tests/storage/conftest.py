"""Empty databases of both kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.storage.tables import MIGRATIONS, tables
from bot.storage.turns.ledger import Ledger, open_ledger
from knowledge.database.database import Database
from tests.database.templates import copy_tables


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database whose tables are empty."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
        await copy_tables(url, MIGRATIONS)
        return url
    server: str = request.getfixturevalue("postgres")
    async with open_ledger(server) as ledger:
        truncate = f"TRUNCATE {', '.join(table.name for table in tables.sorted_tables)} RESTART IDENTITY"
        await ledger.database.write(lambda connection: connection.exec_driver_sql(truncate))
    return server


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    async with open_ledger(url) as opened:
        yield opened


@pytest.fixture
async def ledgers(url: str) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Open the ledgers of two processes."""
    async with open_ledger(url) as one, open_ledger(url) as other:
        yield one, other


@pytest.fixture
def databases(ledgers: tuple[Ledger, Ledger]) -> tuple[Database, Database]:
    """Return the database as two processes see it."""
    return ledgers[0].database, ledgers[1].database
