"""Store each index in tables of a PostgreSQL database with pgvector, next to Kvasir's other tables or elsewhere.

Every call is one short transaction, so PgBouncer may share connections between transactions. Writers of an index wait
for each other, so its counts of passages and terms are exact, and a search reads them instead of counting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection

from knowledge.database.database import Database, DatabaseOptions
from knowledge.errors import StoreMisconfigured
from knowledge.interfaces import Candidate, Scope, StoredChunk, Vector
from knowledge.settings import KnowledgeSettings
from knowledge.stores.common import check_rows, keep_last_rows, slice_values
from knowledge.stores.postgresql.errors import make_lost, translate_errors
from knowledge.stores.postgresql.rows import delete_rows, list_ids, prepare_rows, read_rows, write_rows
from knowledge.stores.postgresql.schema import IndexTables, list_index_names, make_tables
from knowledge.stores.postgresql.search import CandidateQuery, find_candidates
from knowledge.stores.server_store import ServerStore

T = TypeVar("T")

_SETTING: Final = "POSTGRESQL_URL"
_SHARED: Final = "KVASIR_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class PostgreSQLLimits:
    """Deadlines in seconds, and sizes."""

    read_s: float = 10.0
    write_s: float = 120.0
    maintain_s: float = 3600.0
    batch_rows: int = 200
    """Rows of one transaction."""
    compared_vectors: int = 20_000
    """Up to this number of passages in a scope, every vector is compared, which is exact and fast enough."""


class PostgreSQLStore(ServerStore[IndexTables]):
    """``Store`` on PostgreSQL.

    Args:
        url: as ``KVASIR_DATABASE_URL``.
        namespace: part of the names of the tables.
        variable: the variable that has the URL, for errors.
        limits: deadlines and sizes.

    Raises:
        StoreMisconfigured: the URL is not one of PostgreSQL.

    """

    def __init__(
        self, url: str, namespace: str = "", *, variable: str = _SETTING, limits: PostgreSQLLimits | None = None
    ) -> None:
        self._limits = limits or PostgreSQLLimits()
        self._variable = variable
        self._namespace = namespace
        with translate_errors(variable):
            # One snapshot, so that a search filters by the shelves that it has counted.
            options = DatabaseOptions(answer_s=self._limits.read_s, one_writer=False, one_snapshot=True)
            self._reading = Database(url, options)
            self._writing = Database(url, DatabaseOptions(answer_s=self._limits.write_s, one_writer=False))
        if not self._reading.is_server:
            raise StoreMisconfigured(
                f"The store postgresql needs a PostgreSQL: set {_SHARED} or {_SETTING} to "
                "postgresql://USER:PASSWORD@HOST/DATABASE."
            )
        super().__init__(
            "PostgreSQL",
            lambda seconds: (
                f"PostgreSQL did not answer within {seconds:g} s. Check that it runs and that {variable} is right."
            ),
        )

    # ── Opening and closing ──────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, index: str, dimensions: int) -> None:
        """Open the index's tables, and create them if missing. If the server does not answer, do it later.

        Raises:
            StoreMisconfigured: pgvector is missing or too old, or the tables hold vectors of another length.
            StoreReadOnly: the tables must be created, and the role may not.

        """
        await self._open_index(make_tables(index, self._namespace, dimensions), self._limits.write_s)

    async def close(self) -> None:
        """Close the connections."""
        self._index = None
        await self._reading.close()
        await self._writing.close()

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        """Insert or replace rows, some at a time. If several have the same id, the last one counts.

        Raises:
            StoreMisconfigured: a vector has another length or is not finite. StoreReadOnly: the role may not write, or
            the disk is full.

        """
        check_rows(rows, self._get_index().dimensions)
        for some in slice_values(keep_last_rows(rows), self._limits.batch_rows):
            await self._write(partial(write_rows, rows=await asyncio.to_thread(prepare_rows, some)))

    async def delete(self, ids: Collection[str]) -> None:
        """Delete rows by id."""
        for some in slice_values(dict.fromkeys(ids), self._limits.batch_rows):
            await self._write(partial(delete_rows, ids=some))

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        """Return rows by id."""
        rows: list[StoredChunk] = []
        for some in slice_values(dict.fromkeys(ids), self._limits.batch_rows):
            rows += await self._read(partial(read_rows, ids=some))
        return rows

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids in batches, ordered by their writing. A row that is replaced meanwhile may come twice."""
        last, ids = await self._read(partial(list_ids, after=0, most=1000))
        while ids:
            yield ids
            last, ids = await self._read(partial(list_ids, after=last, most=1000))

    async def count(self) -> int:
        """Return the number of rows."""
        return await self._read(
            lambda connection, tables: int(tables.run(connection, "SELECT passages FROM {index}_totals").scalar_one())
        )

    async def check(self, *, heal: bool = False) -> None:  # noqa: ARG002 - its server heals it
        """Look into every table.

        Raises:
            IndexLost: one is missing, damaged or was emptied.

        """
        if not await self._read(lambda connection, tables: tables.is_whole(connection)):
            raise make_lost("is damaged in")

    async def find_candidates(
        self, vector: Vector | None, terms: str, *, pool: int, scope: Scope
    ) -> Sequence[Candidate]:
        """Run both retrievers in one statement; see ``Store.find_candidates``."""
        self._get_index()
        if scope.is_empty:
            return ()
        query = CandidateQuery(vector, terms, pool, scope)
        return await self._read(partial(find_candidates, query=query, most_compared=self._limits.compared_vectors))

    # ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_indexes(self) -> Sequence[str]:
        """Return the names of our indexes in this namespace."""
        with translate_errors(self._variable):
            return await self._reading.read(partial(list_index_names, namespace=self._namespace))

    async def drop_index(self, index: str) -> None:
        """Drop the tables of an index."""
        tables = make_tables(index, self._namespace, 0)
        with translate_errors(self._variable):
            await self._writing.write(tables.drop)

    async def maintain(self) -> None:
        """Delete empty counts, and do what is due: measure the tables for the planner, build the graph of vectors.

        Searches and writes continue meanwhile. The server's autovacuum removes the remains of deleted rows.
        """
        await self._write(lambda connection, tables: tables.prune(connection))
        least = self._limits.compared_vectors
        await self._maintain(await self._read(lambda connection, tables: tables.plan_maintenance(connection, least)))

    async def scrub(self) -> None:
        """Remove deleted rows from the tables. The server overwrites their places with later rows."""
        await self._maintain([f"VACUUM {self._get_index().list_names()}"])

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepare_index(self, index: IndexTables, seconds: float, *, creates: bool) -> None:
        del seconds  # each transaction has its own limit
        with translate_errors(self._variable):
            if not creates and not await self._reading.read(index.exists):
                raise make_lost("is gone from")
            await self._writing.write(index.create)

    async def _read(self, work: Callable[[Connection, IndexTables], T]) -> T:
        return await self._run(self._reading, work)

    async def _write(self, work: Callable[[Connection, IndexTables], T]) -> T:
        return await self._run(self._writing, work)

    async def _run(self, database: Database, work: Callable[[Connection, IndexTables], T]) -> T:
        is_write = database is self._writing
        tables = await self._wait_until_ready(self._limits.write_s if is_write else self._limits.read_s)
        run = database.write if is_write else database.read
        with translate_errors(self._variable):
            return await run(lambda connection: work(connection, tables))

    async def _maintain(self, statements: Sequence[str]) -> None:
        with translate_errors(self._variable):
            await self._writing.maintain_server(statements, self._limits.maintain_s)


def make_store(settings: KnowledgeSettings) -> PostgreSQLStore:
    """Return the store in the database of POSTGRESQL_URL."""
    url = settings.store_variables[_SETTING]
    return PostgreSQLStore(url, settings.namespace, variable=_SHARED if url == settings.database_url else _SETTING)
