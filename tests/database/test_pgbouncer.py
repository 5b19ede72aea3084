"""PostgreSQL behind a PgBouncer that runs each transaction on any of a few connections to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, text

from bot.storage.tables import MIGRATIONS as BOT
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from knowledge.database.database import Database, DatabaseOptions
from knowledge.database.migrations import apply_revisions, list_due_revisions
from knowledge.errors import DatabaseError
from knowledge.sync.manifest.tables import MIGRATIONS as MANIFEST

pytestmark = pytest.mark.slow

SERVER_PROCESS = text("SELECT pg_backend_pid()")
STATEMENTS = text("SELECT name FROM pg_prepared_statements")
LOCKS = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
PATIENT = DatabaseOptions(lock_wait_s=60.0)


@pytest.fixture
async def database(pooled_postgres: str) -> AsyncIterator[Database]:
    opened = Database(pooled_postgres, PATIENT)
    yield opened
    await opened.close()


async def test_transactions_share_connections_and_leave_nothing_there(database: Database, empty_postgres: str) -> None:
    def count_up(connection: Connection) -> int:
        connection.execute(text("UPDATE counts SET n = n + 1"))
        return int(connection.execute(text("SELECT n FROM counts")).scalar_one())

    await database.write(lambda connection: connection.execute(text("CREATE TABLE counts AS SELECT 0 AS n")))
    counts = await asyncio.gather(*(database.write(count_up) for _ in range(30)))
    assert sorted(counts) == list(range(1, 31))
    rows = await asyncio.gather(*(database.fetch_rows(SERVER_PROCESS) for _ in range(30)))
    assert 1 <= len({row[0][0] for row in rows}) <= 3
    for _ in range(9):
        assert {name for (name,) in await database.fetch_rows(STATEMENTS)} <= {""}
    direct = Database(empty_postgres)
    assert (await direct.fetch_rows(LOCKS))[0][0] == 0
    await direct.close()


async def test_an_error_leaves_no_transaction_behind(database: Database) -> None:
    for _ in range(8):
        with pytest.raises(DatabaseError):
            await database.write(lambda connection: connection.execute(text("SELECT 1 FROM nowhere")))
    assert (await database.fetch_rows(text("SELECT 1")))[0][0] == 1


async def test_two_processes_migrate_at_once(pooled_postgres: str) -> None:
    both = (MANIFEST, BOT)
    await asyncio.gather(*(apply_revisions(pooled_postgres, migrations) for migrations in both for _ in range(2)))
    assert [await list_due_revisions(pooled_postgres, migrations) for migrations in both] == [[], []]


async def test_replicas_claim_each_question_once(pooled_postgres: str) -> None:
    async with open_ledger(pooled_postgres, patience_s=30) as one, open_ledger(pooled_postgres, patience_s=30) as other:
        questions = [QuestionMessage(QuestionKey("T1", "C1", f"{n}.0"), f"{n}.0", "U1", "how?") for n in range(20)]
        claims = await asyncio.gather(*(ledger.claim_question(q) for q in questions for ledger in (one, other)))
        assert claims.count(None) == 20


async def test_without_the_parameter_the_error_names_it(pooled_postgres: str) -> None:
    """The drivers' statements have names, and another connection may have made them."""
    plain = pooled_postgres.partition("?")[0]
    databases = [Database(plain, PATIENT) for _ in range(8)]

    async def read_often() -> None:
        for _ in range(20):
            await asyncio.gather(*(one.fetch_rows(SERVER_PROCESS) for one in databases))

    try:
        with pytest.raises(DatabaseError, match=r"Add \?pgbouncer=transaction to KVASIR_DATABASE_URL"):
            await read_often()
    finally:
        for one in databases:
            await one.close()
