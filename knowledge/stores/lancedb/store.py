"""Store each index in one LanceDB table, in a directory that several processes may use at once.

Measurements decided the design. ``merge_insert`` is the upsert. A full-text index made on an empty table finds every
later row, and is fast after ``maintain``. An HNSW index pays off from about 20 000 rows. A reader sees other processes'
writes only with a ``read_consistency_interval``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lancedb
from lancedb.expr import Expr
from lancedb.index import FTS, Bitmap, BTree, HnswSq, LabelList
from lancedb.query import MatchQuery

from knowledge.errors import IndexLost, StoreError, StoreMisconfigured, StoreUnavailable
from knowledge.interfaces import Candidate, Scope, StoredChunk, Vector
from knowledge.settings import KnowledgeSettings
from knowledge.stores.common import (
    INDEX_PREFIX,
    check_rows,
    enforce_deadline,
    keep_last_rows,
    merge_legs,
    run_both,
    slice_values,
)
from knowledge.stores.lancedb.errors import is_conflict, is_missing, is_stale, translate_error
from knowledge.stores.lancedb.rows import (
    ADDED_COLUMNS,
    HELD_BY_ANY,
    NUMBERS,
    PASSAGE_COLUMNS,
    SEARCH_COLUMNS,
    make_batch,
    make_filter,
    make_row_schema,
    quote_literals,
    read_candidates,
    read_rows,
    read_vectors,
)

T = TypeVar("T")
_log = logging.getLogger(__name__)

# ``scrub`` deletes old versions on purpose.
warnings.filterwarnings("ignore", r"optimize\(cleanup_older_than=0\)")

_LANCE_ERRORS = (RuntimeError, ValueError, OSError)
"""The errors that the native library raises. It has no error types of its own."""
_PANIC = "RustPanic"
"""The class of the error where the library met a defect, such as in a damaged file. It cannot be imported."""

_SCALAR_INDEXES = {
    # The terms are already folded, stemmed and separated by whitespace, so the index must not change them.
    "terms": FTS(
        base_tokenizer="whitespace",
        stem=False,
        lower_case=False,
        remove_stop_words=False,
        ascii_folding=False,
        max_token_length=None,
        with_position=False,
    ),
    "class_number": Bitmap(),
    "principals": LabelList(),
    "source": Bitmap(),
    "kind": Bitmap(),
    "modified_at": BTree(),
    "id": BTree(),
}

_UNNUMBERED_PART = 100
"""One row in so many may lack the numbers of its readers, or the audience classes are the better filter."""
_UNWRITTEN_S = 2.0
"""A file that is empty for longer is not being written."""
_PROBED_ROWS = 10
"""Rows that are searched for to see whether each search index opens."""

_VECTOR_INDEX = HnswSq(distance_type="cosine", num_partitions=1)
"""One graph, because more partitions save memory in building but cost recall."""


@dataclass(frozen=True, slots=True)
class LanceDBLimits:
    """Deadlines in seconds, and thresholds for maintenance."""

    read_s: float = 10.0
    write_s: float = 120.0
    maintain_s: float = 1800.0
    vector_index_rows: int = 20_000
    """With fewer rows every vector is compared, which is exact and fast enough."""
    loose_fragments: int = 20
    """Compaction is due from this number of small files on. Each write makes about one."""
    loose_rows: int = 2_000
    """Indexing is due from this number of rows outside the full-text index on."""
    index_parts: int = 8
    """Each indexing adds a part to an index, and a search visits all. With more parts the index is built again."""
    build_s: float = 1800.0
    build_row_s: float = 0.005
    """The time for building an index as a whole: ``build_s``, and so much for each row."""
    history_s: float = 900.0
    """How long old versions stay: longer than the longest call of any process."""


@dataclass(frozen=True, slots=True)
class MaintenanceState:
    """The state of a table that decides about maintenance."""

    rows: int
    unindexed_rows: int
    """Rows that are not in the full-text index yet."""
    fragments: int
    index_parts: Mapping[str, int]
    """The number of parts of each index, by its column."""

    def needs_compaction(self, limits: LanceDBLimits) -> bool:
        """Return whether compaction and indexing are due: many small files, or many unindexed rows."""
        return self.fragments >= limits.loose_fragments or self.unindexed_rows >= min(
            limits.loose_rows, max(1, self.rows // 10)
        )

    def needs_vector_index(self, limits: LanceDBLimits) -> bool:
        """Return whether the table is too large for comparing every vector."""
        return "vector" not in self.index_parts and self.rows >= limits.vector_index_rows

    def list_split_columns(self, limits: LanceDBLimits, merged_rows: int) -> list[str]:
        """Return the columns whose index has too many parts, if the table has doubled since or nothing else is due.

        So the rows of a long sync are not indexed again after each step, but a few times.
        """
        is_due = self.rows >= 2 * merged_rows or not self.needs_compaction(limits)
        split = [column for column, parts in self.index_parts.items() if parts > limits.index_parts]
        return [column for column in split if is_due and (column == "vector" or column in _SCALAR_INDEXES)]


class LanceDBStore:
    """``Store`` on LanceDB, in ``directory``, which is created if missing."""

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
        self._index = ""
        self._dimensions = 0
        self._is_doubtful = False
        """Whether a call failed as if files were damaged, and no check has read all of them since."""
        self._is_probed = False
        """Whether a check has searched the index since it was opened."""
        self._merged_rows = 0
        """The rows of the table when its indexes were last built as a whole."""
        self._late_rows = 0
        """The rows of the table when an index was not built in time."""
        self._is_numbered = False
        self._unused_files: frozenset[str] = frozenset()
        """Empty files that belong to no current version of the table."""

    # ── Opening and closing ──────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, index: str, dimensions: int) -> None:
        """Open the index's table. Create it and its scalar indexes if they are missing.

        If the table is damaged, every other call raises ``IndexLost`` until the index is made again.

        Raises:
            StoreMisconfigured: the table holds vectors of another length.
            StoreReadOnly: it must be created and the directory accepts no writes.

        """
        try:
            self._table = await self._open_index(index, dimensions)
        except IndexLost as error:
            _log.warning("%s", error)
            self._table = None
        self._index, self._dimensions, self._is_probed = index, dimensions, False

    @property
    def is_numbered(self) -> bool:
        """Return whether nearly all rows had the numbers of their readers when the index was opened or maintained."""
        return self._is_numbered

    async def _open_index(self, index: str, dimensions: int) -> Any:  # noqa: ANN401 - lancedb is untyped
        async with self._translate_failures(self._limits.write_s):
            table = await self._retry_conflicts(lambda: self._open_or_create(index, dimensions))
            stored_dimensions = (await table.schema()).field("vector").type.list_size
            if stored_dimensions != dimensions:
                raise StoreMisconfigured(
                    f"The index {index} in {self._directory} has vectors of {stored_dimensions} dimensions, and the "
                    f"embedder makes {dimensions}: run `kvasir sync` to build a new index."
                )
            self._is_numbered = await self._retry_conflicts(partial(_has_numbers, table))
            return table

    async def _open_or_create(self, index: str, dimensions: int) -> Any:  # noqa: ANN401 - lancedb is untyped
        connection = await self._open_table()
        try:
            table = await connection.open_table(index)
        except _LANCE_ERRORS as error:
            if not is_missing(error):
                raise
            table = await connection.create_table(index, schema=make_row_schema(dimensions), exist_ok=True)
        if await _find_missing_columns(table):
            await _add_columns(table)
        await _add_numbers(table)
        present = await _list_indexed_columns(table)
        for column, config in _SCALAR_INDEXES.items():
            if column not in present:
                await table.create_index(column, config=config)
        return table

    async def _open_table(self) -> Any:  # noqa: ANN401 - lancedb is untyped
        if self._connection is None:
            await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
            # Zero: each read looks for a newer version first (a directory listing), so it sees the writes of all
            # processes.
            self._connection = await lancedb.connect_async(str(self._directory), read_consistency_interval=timedelta(0))
        return self._connection

    async def close(self) -> None:
        """Release the table and the connection. Active searches end normally.

        The library's own ``close`` is not used, because a query on a closed table panics. Memory is freed with the last
        user.
        """
        self._table = self._connection = None
        self._index = ""

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        """Insert or replace rows. If several have the same id, the last one counts.

        Raises:
            StoreMisconfigured: a vector has another length or is not finite. StoreReadOnly: the directory accepts no
            writes, or its disk is full.

        """
        if not rows:
            return
        table = self._get_table()
        check_rows(rows, self._dimensions)
        batch = make_batch(keep_last_rows(rows), self._dimensions)
        async with self._translate_failures(self._limits.write_s):
            await self._retry_conflicts(
                lambda: table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(batch)
            )

    async def delete(self, ids: Collection[str]) -> None:
        """Delete rows by id."""
        for some in slice_values(ids, 1000):
            async with self._translate_failures(self._limits.write_s):
                await self._retry_conflicts(partial(self._get_table().delete, f"id IN ({quote_literals(some)})"))

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of one version of the table, in batches."""
        async with self._translate_failures(self._limits.read_s):
            batches = await self._get_table().query().select(["id"]).to_batches(max_batch_length=1000)
        while True:
            async with self._translate_failures(self._limits.read_s):
                batch = await anext(aiter(batches), None)
            if batch is None:
                return
            yield batch.column("id").to_pylist()

    async def count(self) -> int:
        """Return the number of rows."""
        async with self._translate_failures(self._limits.read_s):
            return int(await self._retry_conflicts(self._get_table().count_rows))

    async def check(self, *, heal: bool = False) -> None:
        """Count the rows and look for empty files; on a doubt, read every row and search each of its indexes.

        The first check, and one that may ``heal``, search for some rows as a new process would. To heal is to build
        the search indexes again from the rows, which stay.

        Raises:
            IndexLost: the table is missing or damaged.

        """
        with contextlib.suppress(IndexLost):
            await self.count()
            if heal or not self._is_probed:
                await self._probe()
        empty = await asyncio.to_thread(self._find_empty_files)
        if self._is_doubtful or empty - self._unused_files:
            try:
                await self._open_anew()
            except IndexLost as error:
                if not heal:
                    raise
                _log.warning("%s Kvasir builds its search indexes again.", error)
                await self._build_search_indexes()
                await self._open_anew()
            self._is_doubtful, self._unused_files = False, empty

    async def _probe(self) -> None:
        """Search for some rows with a connection that has cached nothing; the caches of this one stay."""
        connection, self._connection = self._connection, None
        try:
            async with self._translate_failures(self._limits.read_s):
                await self._retry_conflicts(partial(self._read_rows_and_indexes, _PROBED_ROWS))
        finally:
            self._connection = connection
        self._is_probed = True

    async def _open_anew(self) -> None:
        """Open the table with a connection that has cached nothing, and read all of it."""
        async with self._translate_failures(self._limits.maintain_s):
            self._connection = None
            self._table = await self._retry_conflicts(self._read_rows_and_indexes)

    async def _build_search_indexes(self) -> None:
        async with self._translate_failures(self._limits.maintain_s):
            table = await (await self._open_table()).open_table(self._index)
            indexed = await _list_indexed_columns(table)
            for column, config in {**_SCALAR_INDEXES, "vector": _VECTOR_INDEX}.items():
                if column in indexed:
                    await self._retry_conflicts(partial(table.create_index, column, config=config))

    def _find_empty_files(self) -> frozenset[str]:
        """Return the empty files of the table, without those that are written just now."""
        before, found = time.time() - _UNWRITTEN_S, list[str]()
        for folder, _, names in os.walk(self._directory / f"{self._index}.lance"):
            for path in (os.path.join(folder, name) for name in names if "#" not in name):  # noqa: PTH118 (many files)
                with contextlib.suppress(OSError):  # deleted meanwhile
                    state = os.stat(path)  # noqa: PTH116
                    if not state.st_size and state.st_mtime < before:
                        found.append(path)
        return frozenset(found)

    async def _read_rows_and_indexes(self, limit: int | None = None) -> Any:  # noqa: ANN401 - lancedb is untyped
        """Open the table again and read all that searches and syncs read; raise the library's error if that fails.

        ``limit`` is the number of rows, None for all.
        """
        table = await (await self._open_table()).open_table(self._index)
        schema = await table.schema()
        for column in _SCALAR_INDEXES.keys() - {"terms"}:
            lowest = "''" if schema.field(column).type == "string" else -(2**62)
            any_row = HELD_BY_ANY if column == "principals" else f"{column} >= {lowest}"
            await table.query().where(any_row).select(["id"]).limit(1).to_arrow()
        rows = table.query().select(schema.names)
        async for batch in await (rows.limit(limit) if limit else rows).to_batches(max_batch_length=1000):
            words = set(" ".join(batch.column("terms").to_pylist()).split())
            match = MatchQuery(" ".join(words), "terms")  # type: ignore[call-arg]
            await table.query().nearest_to_text(match).select(["_score"]).limit(1).to_arrow()
            vector = batch.column("vector")[0].as_py()
            await table.query().nearest_to(vector).distance_type("cosine").select(["_distance"]).limit(1).to_arrow()
        return table

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        """Return rows by id."""
        rows: list[StoredChunk] = []
        for some in slice_values(ids, 1000):
            async with self._translate_failures(self._limits.read_s):
                query = self._get_table().query().where(f"id IN ({quote_literals(some)})")
                table = await self._retry_conflicts(query.select([*PASSAGE_COLUMNS, "vector", "terms"]).to_arrow)
            if table.num_rows:
                rows += read_rows(table)
        return rows

    # ── Search ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def find_candidates(
        self,
        vector: Vector | None,
        terms: str,
        *,
        pool: int,
        scope: Scope,
    ) -> Sequence[Candidate]:
        """Run both legs concurrently with one filter; see ``Store.find_candidates``."""
        if scope.is_empty:
            return ()
        within = make_filter(scope)
        async with self._translate_failures(self._limits.read_s):
            table = self._get_table()
            # Each leg is retried by itself: cancelling the other one inside the library can block its next read.
            lexical, dense = await run_both(
                self._retry_conflicts(lambda: self._search_lexical(table, terms, vector, pool, within)),
                self._retry_conflicts(lambda: self._search_dense(table, vector, pool, within)),
            )
        return merge_legs(lexical, dense)

    async def _search_lexical(
        self,
        table: Any,  # noqa: ANN401
        terms: str,
        vector: Vector | None,
        pool: int,
        within: Expr | str,
    ) -> list[Candidate]:
        if not terms.strip():
            return []
        # Use a query object, because a plain string in double quotes would be a phrase.
        match = MatchQuery(terms, "terms")  # type: ignore[call-arg]
        query = table.query().nearest_to_text(match).where(within).limit(pool)
        hits = await query.select([*SEARCH_COLUMNS, *([] if vector is None else ["vector"]), "_score"]).to_arrow()
        cosines = [0.0] * hits.num_rows
        if hits.num_rows and vector is not None:
            cosines = (read_vectors(hits) @ vector).tolist()
        return read_candidates(hits, hits.column("_score").to_pylist(), cosines)

    async def _search_dense(self, table: Any, vector: Vector | None, pool: int, within: Expr | str) -> list[Candidate]:  # noqa: ANN401
        if vector is None:
            return []
        # The vector index has rounded vectors, so three times the pool is compared again with exact ones.
        query = table.query().nearest_to(vector).distance_type("cosine").refine_factor(3).ef(max(150, 3 * pool))
        query = query.where(within).limit(pool)
        hits = await query.select([*SEARCH_COLUMNS, "_distance"]).to_arrow()
        return read_candidates(hits, [0.0] * hits.num_rows, (1 - hits.column("_distance").to_numpy()).tolist())

    # ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_indexes(self) -> Sequence[str]:
        """Return the names of our tables in the directory."""
        async with self._translate_failures(self._limits.read_s):
            names: list[str] = []
            page = await (await self._open_table()).list_tables(limit=100)
            while True:
                names += page.tables
                if not page.page_token:
                    return [name for name in names if name.startswith(INDEX_PREFIX)]
                page = await self._connection.list_tables(page_token=page.page_token, limit=100)

    async def drop_index(self, index: str) -> None:
        """Drop a table and its files."""
        async with self._translate_failures(self._limits.write_s):
            connection = await self._open_table()
            try:
                await connection.drop_table(index)
            except _LANCE_ERRORS as error:
                if not is_missing(error):
                    raise

    async def maintain(self) -> None:
        """Compact, index and prune after enough changes. Searches and writes continue meanwhile.

        If another writer commits first, the compaction is retried a few times, then left to the next call. An index
        that was not built in time is tried again when the table has doubled, or by the next process.
        """
        async with self._translate_failures(self._limits.maintain_s):
            table = self._get_table()
            self._is_numbered = await self._retry_conflicts(partial(_has_numbers, table))
            state = await _measure_table(table)
            if state.needs_compaction(self._limits):
                history = timedelta(seconds=self._limits.history_s)
                await self._skip_if_busy(lambda: table.optimize(cleanup_older_than=history))
        if state.rows < 2 * self._late_rows:
            return
        due = state.list_split_columns(self._limits, self._merged_rows)
        if state.needs_vector_index(self._limits):
            due.append("vector")
        built = []
        for column in due:
            config = _VECTOR_INDEX if column == "vector" else _SCALAR_INDEXES[column]
            try:
                async with self._translate_failures(self._limits.build_s + state.rows * self._limits.build_row_s):
                    built.append(await self._skip_if_busy(partial(table.create_index, column, config=config)))
            except StoreUnavailable:
                self._late_rows = state.rows
                raise
        if built and all(built):
            self._merged_rows = state.rows

    async def scrub(self) -> None:
        """Rewrite what has deleted rows, rebuild the indexes of their words, and delete all other files.

        Compaction keeps a file with few deleted rows if it is the only one. So one row is written again first.
        Searches of other processes get ``read_s`` to end before their version goes; later ones are retried. Nobody else
        may write meanwhile, because files that no version names are deleted too.
        """
        async with self._translate_failures(self._limits.maintain_s):
            table = self._get_table()
            indexed = await _list_indexed_columns(table)
            if rows := await table.query().select(["id"]).limit(1).to_list():
                await self.write(await self.read_rows([rows[0]["id"]]))
            await self._retry_conflicts(table.optimize)
            await self._retry_conflicts(partial(table.create_index, "terms", config=_SCALAR_INDEXES["terms"]))
            if "vector" in indexed:
                await self._retry_conflicts(partial(table.create_index, "vector", config=_VECTOR_INDEX))
            await self._sleep(self._limits.read_s)
            await self._retry_conflicts(
                partial(table.optimize, cleanup_older_than=timedelta(0), delete_unverified=True)
            )

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _get_table(self) -> Any:  # noqa: ANN401 - lancedb is untyped
        if self._table is None and self._index:
            raise translate_error(RuntimeError("it was damaged when it was opened"), self._directory)
        if self._table is None:
            raise StoreError("The embedded store is not open: start Kvasir again.")
        return self._table

    @asynccontextmanager
    async def _translate_failures(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time of a block, and translate the library's errors into ours."""
        late = (
            f"The embedded store in {self._directory} did not answer within {seconds:g} s: check whether its disk is "
            "overloaded, then try again."
        )
        try:
            async with enforce_deadline(seconds, late):
                yield
        except Exception as error:
            if not isinstance(error, _LANCE_ERRORS) and type(error).__name__ != _PANIC:
                raise
            translated = translate_error(error, self._directory)
            self._is_doubtful |= isinstance(translated, IndexLost)
            raise translated from error

    async def _retry_conflicts(self, action: Callable[[], Awaitable[T]], attempts: int = 6) -> T:
        """Retry if another writer committed first or deleted this version. The last attempt raises its error."""
        for attempt in range(attempts - 1):
            try:
                return await action()
            except _LANCE_ERRORS as error:
                if not (is_conflict(error) or is_stale(error)):
                    raise
            await self._sleep(0.02 * 2**attempt * (1 + random.random()))  # noqa: S311 - jitter, no secret
        return await action()

    async def _skip_if_busy(self, action: Callable[[], Awaitable[object]]) -> bool:
        """Run a maintenance step, and return whether it was done. Other writers that commit first delay it."""
        try:
            await self._retry_conflicts(action)
        except _LANCE_ERRORS as error:
            if not is_conflict(error):
                raise
            return False
        return True


def make_store(settings: KnowledgeSettings) -> LanceDBStore:
    """Return the store in the state folder."""
    return LanceDBStore(settings.home / "-".join(filter(None, ["lancedb", settings.namespace])))


async def _find_missing_columns(table: Any) -> dict[str, str]:  # noqa: ANN401 - lancedb is untyped
    there = (await table.schema()).names
    return {name: value for name, value in ADDED_COLUMNS.items() if name not in there}


async def _add_numbers(table: Any) -> None:  # noqa: ANN401 - lancedb is untyped
    """Add the column of numbers without values. Another process may do the same."""
    if NUMBERS.name not in (await table.schema()).names:
        try:
            await table.add_columns(NUMBERS)
        except _LANCE_ERRORS:
            if NUMBERS.name not in (await table.schema()).names:
                raise


async def _add_columns(table: Any) -> None:  # noqa: ANN401 - lancedb is untyped
    """Add the columns that a table of an earlier version lacks. Another process may do the same."""
    try:
        await table.add_columns(await _find_missing_columns(table))
    except _LANCE_ERRORS:
        if await _find_missing_columns(table):
            raise


async def _has_numbers(table: Any) -> bool:  # noqa: ANN401 - lancedb is untyped
    others = int(await table.count_rows(f"principals IS NULL OR {HELD_BY_ANY}"))
    return _UNNUMBERED_PART * others <= int(await table.count_rows())


async def _list_indexed_columns(table: Any) -> set[str]:  # noqa: ANN401 - lancedb is untyped
    return {column for index in await table.list_indices() for column in index.columns}


async def _measure_table(table: Any) -> MaintenanceState:  # noqa: ANN401 - lancedb is untyped
    whole = await table.stats()
    stats = {index.columns[0]: await table.index_stats(index.name) for index in await table.list_indices()}
    found = {column: one for column, one in stats.items() if one is not None}
    return MaintenanceState(
        rows=whole["num_rows"],
        unindexed_rows=found["terms"].num_unindexed_rows if "terms" in found else whole["num_rows"],
        fragments=whole["fragment_stats"]["num_small_fragments"],
        index_parts={column: one.num_indices or 1 for column, one in found.items()},
    )
