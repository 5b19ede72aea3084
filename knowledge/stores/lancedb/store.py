"""The embedded store: one LanceDB table an index, in a directory that several processes may use at once.

What was measured and decides the shape: ``merge_insert`` is the upsert; a full-text index made on an empty table
finds every later row, indexed or not, and is quick once ``maintain`` has taken the rows in; an HNSW index pays from
about twenty thousand rows; a reader sees other processes' writes only with a ``read_consistency_interval``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lancedb
from lancedb.index import FTS, Bitmap, BTree, HnswSq, LabelList
from lancedb.query import MatchQuery

from knowledge.errors import StoreError, StoreMisconfigured
from knowledge.interfaces import Candidate, Scope, StoredChunk, Vector
from knowledge.stores.common import (
    INDEX_PREFIX,
    LegHit,
    check_rows,
    enforce_deadline,
    keep_last_rows,
    merge_legs,
    run_both,
    slice_values,
)
from knowledge.stores.lancedb.errors import is_conflict, is_missing, translate_error
from knowledge.stores.lancedb.rows import (
    ADDED_COLUMNS,
    PASSAGE,
    SEARCHED,
    make_batch,
    make_condition,
    make_row_schema,
    quote_literals,
    read_leg_hits,
    read_rows,
    read_vectors,
)

T = TypeVar("T")

_LANCE_FAILURES = (RuntimeError, ValueError, OSError)
"""What the native library raises; it has no error types of its own."""

_SCALAR_INDEXES = {
    # Terms come ready-made: whitespace apart, already folded and stemmed, so the index must not touch them again.
    "terms": FTS(
        base_tokenizer="whitespace",
        stem=False,
        lower_case=False,
        remove_stop_words=False,
        ascii_folding=False,
        max_token_length=None,
        with_position=False,
    ),
    "readers": LabelList(),
    "source": Bitmap(),
    "kind": Bitmap(),
    "modified_at": BTree(),
    "id": BTree(),
}


@dataclass(frozen=True, slots=True)
class LanceDBLimits:
    """Deadlines, in seconds, and when upkeep is due."""

    read_s: float = 10.0
    write_s: float = 120.0
    maintain_s: float = 1800.0
    vector_index_rows: int = 20_000
    """Below it every vector is compared, which is exact and quick enough."""
    loose_fragments: int = 20
    """Small files, about one a write, from which on compaction is due."""
    loose_rows: int = 2_000
    """Rows outside the full-text index from which on indexing is due."""
    history_s: float = 900.0
    """How long old versions are kept: longer than any call of any process may run."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a table's upkeep is decided by."""

    rows: int
    unindexed: int
    """Rows that the full-text index does not hold yet."""
    fragments: int
    vector_index: bool

    def optimize(self, limits: LanceDBLimits) -> bool:
        """Whether compaction and indexing are due: many small files, or many rows that searches must scan."""
        return self.fragments >= limits.loose_fragments or self.unindexed >= min(
            limits.loose_rows, max(1, self.rows // 10)
        )

    def index_vectors(self, limits: LanceDBLimits) -> bool:
        """Whether the table has outgrown comparing every vector."""
        return not self.vector_index and self.rows >= limits.vector_index_rows


class LanceDBStore:
    """``Store`` on LanceDB, in ``directory`` (made when missing)."""

    kind = "lancedb"

    def __init__(
        self,
        directory: Path,
        *,
        limits: LanceDBLimits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._directory = directory.absolute()
        self._limits = limits or LanceDBLimits()
        self._sleep = sleep
        self._connection: Any = None
        self._table: Any = None
        self._dimensions = 0

    # ── Opening and closing ──────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, index: str, dimensions: int) -> None:
        """Open the index's table, creating it and its scalar indexes where they are missing.

        Raises:
            StoreMisconfigured: the table holds vectors of another length.
            StoreReadOnly: it must be created and the directory takes no writes.
            StoreError: the table is damaged.

        """
        async with self._bounded(self._limits.write_s):
            table = await self._retried(lambda: self._open_or_create(index, dimensions))
            held = (await table.schema()).field("vector").type.list_size
            if held != dimensions:
                raise StoreMisconfigured(
                    f"The index {index} in {self._directory} holds vectors of {held} dimensions and the embedder makes "
                    f"{dimensions}: run `kvasir sync` to build a new index."
                )
            self._table, self._dimensions = table, dimensions

    async def _open_or_create(self, index: str, dimensions: int) -> Any:  # noqa: ANN401 - lancedb is untyped
        connection = await self._connected()
        try:
            table = await connection.open_table(index)
        except _LANCE_FAILURES as error:
            if not is_missing(error):
                raise
            table = await connection.create_table(index, schema=make_row_schema(dimensions), exist_ok=True)
        if await _find_missing_columns(table):
            await _add_columns(table)
        present = await _list_indexed_columns(table)
        for column, config in _SCALAR_INDEXES.items():
            if column not in present:
                await table.create_index(column, config=config)
        return table

    async def _connected(self) -> Any:  # noqa: ANN401 - lancedb is untyped
        if self._connection is None:
            await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
            # Zero: each read looks for a newer version first (a directory listing), so what any process wrote is seen.
            self._connection = await lancedb.connect_async(str(self._directory), read_consistency_interval=timedelta(0))
        return self._connection

    async def close(self) -> None:
        """Let go of the table and the connection; searches that run end as they would.

        Not by the library's own ``close``: a query on a closed table panics, and what it holds goes with the last user.
        """
        self._table = self._connection = None

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        """Insert or replace rows; the last of several with one id counts.

        Raises:
            StoreMisconfigured: a vector is of another length or not finite.
            StoreReadOnly: the directory takes no writes, or its disk is full.

        """
        if not rows:
            return
        table = self._opened()
        check_rows(rows, self._dimensions)
        batch = make_batch(keep_last_rows(rows), self._dimensions)
        async with self._bounded(self._limits.write_s):
            await self._retried(
                lambda: table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(batch)
            )

    async def delete(self, ids: Collection[str]) -> None:
        """Delete rows by id."""
        for some in slice_values(ids, 1000):
            async with self._bounded(self._limits.write_s):
                await self._retried(partial(self._opened().delete, f"id IN ({quote_literals(some)})"))

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of one version of the table, in batches."""
        async with self._bounded(self._limits.read_s):
            batches = await self._opened().query().select(["id"]).to_batches(max_batch_length=1000)
        while True:
            async with self._bounded(self._limits.read_s):
                batch = await anext(aiter(batches), None)
            if batch is None:
                return
            yield batch.column("id").to_pylist()

    async def count(self) -> int:
        """Count the rows."""
        async with self._bounded(self._limits.read_s):
            return int(await self._opened().count_rows())

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        """Return rows by id."""
        found: list[StoredChunk] = []
        for some in slice_values(ids, 1000):
            async with self._bounded(self._limits.read_s):
                query = self._opened().query().where(f"id IN ({quote_literals(some)})")
                table = await query.select([*PASSAGE, "vector", "terms"]).to_arrow()
            if table.num_rows:
                found += read_rows(table)
        return found

    # ── Search ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def find_candidates(
        self,
        vector: Vector | None,
        terms: str,
        *,
        pool: int,
        scope: Scope,
    ) -> Sequence[Candidate]:
        """Run both legs at once behind one filter; see ``Store.find_candidates``."""
        if not scope.sources:
            return ()
        condition = make_condition(scope)
        async with self._bounded(self._limits.read_s):
            table = self._opened()
            lexical, dense = await run_both(
                self._lexical(table, terms, vector, pool, condition), self._dense(table, vector, pool, condition)
            )
        return merge_legs(lexical, dense)

    async def _lexical(self, table: Any, terms: str, vector: Vector | None, pool: int, condition: str) -> list[LegHit]:  # noqa: ANN401
        if not terms.strip():
            return []
        # A query object: a plain string in double quotes would be taken as a phrase.
        match = MatchQuery(terms, "terms")  # type: ignore[call-arg]  # its defaults are lost on the type checker
        query = table.query().nearest_to_text(match).where(condition).limit(pool)
        found = await query.select([*SEARCHED, *([] if vector is None else ["vector"]), "_score"]).to_arrow()
        cosines = [0.0] * found.num_rows
        if found.num_rows and vector is not None:
            cosines = (read_vectors(found) @ vector).tolist()
        return read_leg_hits(found, cosines, found.column("_score").to_pylist())

    async def _dense(self, table: Any, vector: Vector | None, pool: int, condition: str) -> list[LegHit]:  # noqa: ANN401
        if vector is None:
            return []
        # The index, where there is one, holds rounded vectors: three times the pool is compared again with exact ones.
        query = table.query().nearest_to(vector).distance_type("cosine").refine_factor(3).ef(max(150, 3 * pool))
        query = query.where(condition).limit(pool)
        found = await query.select([*SEARCHED, "_distance"]).to_arrow()
        return read_leg_hits(found, (1 - found.column("_distance").to_numpy()).tolist(), [0.0] * found.num_rows)

    # ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_indexes(self) -> Sequence[str]:
        """Name our tables in the directory."""
        async with self._bounded(self._limits.read_s):
            names: list[str] = []
            page = await (await self._connected()).list_tables(limit=100)
            while True:
                names += page.tables
                if not page.page_token:
                    return [name for name in names if name.startswith(INDEX_PREFIX)]
                page = await self._connection.list_tables(page_token=page.page_token, limit=100)

    async def drop_index(self, index: str) -> None:
        """Drop a table and its files."""
        async with self._bounded(self._limits.write_s):
            connection = await self._connected()
            try:
                await connection.drop_table(index)
            except _LANCE_FAILURES as error:
                if not is_missing(error):
                    raise

    async def maintain(self) -> None:
        """Compact, index and prune when enough has changed since last; searches and writes go on meanwhile.

        A writer that is quicker makes the compaction start again, a bounded number of times; then it is left to the
        next call.
        """
        async with self._bounded(self._limits.maintain_s):
            table = self._opened()
            state = await _measure_upkeep(table)
            if state.optimize(self._limits):
                history = timedelta(seconds=self._limits.history_s)
                await self._unless_busy(lambda: table.optimize(cleanup_older_than=history))
            if state.index_vectors(self._limits):
                # One graph: more partitions save memory in building and cost recall.
                config = HnswSq(distance_type="cosine", num_partitions=1)
                await self._unless_busy(lambda: table.create_index("vector", config=config))

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _opened(self) -> Any:  # noqa: ANN401 - lancedb is untyped
        if self._table is None:
            raise StoreError("The embedded store is not open: start Kvasir again.")
        return self._table

    @asynccontextmanager
    async def _bounded(self, seconds: float) -> AsyncIterator[None]:
        """Bound a block and turn what the library raises into our errors."""
        late = (
            f"The embedded store in {self._directory} did not answer within {seconds:g} s: see whether its disk is "
            "overloaded, then try again."
        )
        try:
            async with enforce_deadline(seconds, late):
                yield
        except _LANCE_FAILURES as error:
            raise translate_error(error, self._directory) from error

    async def _retried(self, action: Callable[[], Awaitable[T]], attempts: int = 6) -> T:
        """Try again when another writer's commit came first; after the last attempt its error is raised."""
        for attempt in range(attempts - 1):
            try:
                return await action()
            except _LANCE_FAILURES as error:
                if not is_conflict(error):
                    raise
            await self._sleep(0.02 * 2**attempt * (1 + random.random()))  # noqa: S311 - jitter, no secret
        return await action()

    async def _unless_busy(self, action: Callable[[], Awaitable[object]]) -> None:
        """Do a piece of upkeep; when writers keep coming first, leave it to the next time."""
        try:
            await self._retried(action)
        except _LANCE_FAILURES as error:
            if not is_conflict(error):
                raise


async def _find_missing_columns(table: Any) -> dict[str, str]:  # noqa: ANN401 - lancedb is untyped
    there = (await table.schema()).names
    return {name: value for name, value in ADDED_COLUMNS.items() if name not in there}


async def _add_columns(table: Any) -> None:  # noqa: ANN401 - lancedb is untyped
    """Bring a table of an earlier version up to date; another process may be at it, too."""
    try:
        await table.add_columns(await _find_missing_columns(table))
    except _LANCE_FAILURES:
        if await _find_missing_columns(table):
            raise


async def _list_indexed_columns(table: Any) -> set[str]:  # noqa: ANN401 - lancedb is untyped
    return {column for index in await table.list_indices() for column in index.columns}


async def _measure_upkeep(table: Any) -> Upkeep:  # noqa: ANN401 - lancedb is untyped
    lexical = await table.index_stats("terms_idx")
    whole = await table.stats()
    return Upkeep(
        rows=whole["num_rows"],
        unindexed=lexical.num_unindexed_rows if lexical else whole["num_rows"],
        fragments=whole["fragment_stats"]["num_small_fragments"],
        vector_index="vector" in await _list_indexed_columns(table),
    )
