"""Make, check and delete the tables of an index.

| table | a row for each |
| --- | --- |
| ``totals`` | index: its passages and their terms, which a search needs for BM25; a writer locks it |
| ``shelves`` | source, audience class and kind together, by which searches filter |
| ``passages`` | passage |
| ``vectors`` | passage: its vector, in a table of its own, so that a comparison reads nothing else |
| ``postings`` | term of a passage |
| ``terms`` | term: how many passages have it |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError

from knowledge.errors import StoreMisconfigured
from knowledge.stores.common import INDEX_PREFIX

MOST_DIMENSIONS: Final = 4000
"""The most that pgvector's HNSW index takes of half precision."""
_INLINE_DIMENSIONS: Final = 1900
"""Up to this number a vector fits into a page, next to nothing else."""
_OLDEST_VERSION: Final = (0, 8)
"""The first pgvector whose graph continues a search until enough rows pass the filter."""
_OPENING_LOCK: Final = 0x4B76736B
"""The advisory lock of a process that makes tables: PostgreSQL's IF NOT EXISTS fails if two do so at once."""
_TABLES: Final = ("totals", "shelves", "terms", "postings", "passages", "vectors")
_NO_EXTENSION: Final = frozenset({"0A000", "58P01", "42501", "42704"})
"""The codes with which CREATE EXTENSION fails: the extension is not installed, or this role may not create it."""
_INDEX_NAME: Final = re.compile(rf"{INDEX_PREFIX}[a-z0-9]+")

_DATES: Final = "{index}_dates ON {index}_passages (modified_at, shelf, number)"
# A covering key makes the search for words read its index alone. Terms are hashed, because they may be too long for it.
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS {index}_totals (passages bigint NOT NULL, words bigint NOT NULL);
INSERT INTO {index}_totals SELECT 0, 0 WHERE NOT EXISTS (SELECT FROM {index}_totals);
CREATE TABLE IF NOT EXISTS {index}_shelves (
  number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, class_number bigint NOT NULL,
  kind text NOT NULL, passages bigint NOT NULL DEFAULT 0, UNIQUE (class_number, source, kind));
CREATE TABLE IF NOT EXISTS {index}_terms (term bigint PRIMARY KEY, holders bigint NOT NULL) WITH (fillfactor = 70);
CREATE TABLE IF NOT EXISTS {index}_postings (
  term bigint NOT NULL, passage bigint NOT NULL, shelf integer NOT NULL, frequency smallint NOT NULL,
  length smallint NOT NULL, PRIMARY KEY (term, passage) INCLUDE (shelf, frequency, length));
CREATE TABLE IF NOT EXISTS {index}_passages (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, shelf integer NOT NULL,
  document text NOT NULL, title text NOT NULL, heading text NOT NULL, text text NOT NULL, url text,
  modified_at bigint, terms text NOT NULL);
CREATE INDEX IF NOT EXISTS {dates};
CREATE TABLE IF NOT EXISTS {index}_vectors (
  passage bigint PRIMARY KEY, shelf integer NOT NULL, vector vector({dimensions}) NOT NULL);
CREATE INDEX IF NOT EXISTS {index}_places ON {index}_vectors (shelf);
ALTER TABLE {index}_vectors ALTER COLUMN vector SET STORAGE {storage}
"""
_GRAPH: Final = (
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS {index}_graph ON {index}_vectors "
    "USING hnsw ((vector::halfvec({dimensions})) halfvec_ip_ops)"
)
_FIND_DIMENSIONS: Final = (
    "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass('{index}_vectors') AND attname = 'vector'"
)
_MEASURE: Final = """
SELECT t.passages, c.reltuples, (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{index}_graph')),
EXISTS (SELECT FROM pg_stat_progress_create_index
  WHERE relid IN (to_regclass('{index}_vectors'), to_regclass('{index}_passages'))),
(SELECT indnatts = 3 AND indisvalid FROM pg_index WHERE indexrelid = to_regclass('{index}_dates'))
FROM {index}_totals t, pg_class c WHERE c.oid = to_regclass('{index}_passages')
"""
_PRUNE: Final = ("DELETE FROM {index}_shelves WHERE passages = 0", "DELETE FROM {index}_terms WHERE holders = 0")
_FIND_VERSION: Final = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
_LIST_TABLES: Final = (
    "SELECT tablename FROM pg_tables WHERE schemaname = ANY(current_schemas(false)) AND starts_with(tablename, $1)"
)
# A part that is empty although there are passages was lost.
_CHECK: Final = """
SELECT t.passages = 0 OR (
  EXISTS (SELECT FROM {index}_passages) AND EXISTS (SELECT FROM {index}_vectors) AND
  EXISTS (SELECT FROM {index}_shelves) AND (t.words = 0 OR
  (EXISTS (SELECT FROM {index}_postings) AND EXISTS (SELECT FROM {index}_terms)))) FROM {index}_totals t
"""


@dataclass(frozen=True, slots=True)
class IndexTables:
    """The tables of one index; ``name`` is the beginning of their names."""

    name: str
    dimensions: int

    def run(self, connection: Connection, statement: str, *values: Any) -> CursorResult[*tuple[Any, ...]]:  # noqa: ANN401 - any value of the driver
        """Run a statement in which ``{index}`` stands for the name."""
        return connection.exec_driver_sql(statement.format(index=self.name), values or None)

    def exists(self, connection: Connection) -> bool:
        """Return whether the table of vectors exists."""
        return self.run(connection, _FIND_DIMENSIONS).scalar() is not None

    def create(self, connection: Connection) -> None:
        """Create the tables that are missing.

        Raises:
            StoreMisconfigured: their vectors have another length, or pgvector is too old.

        """
        found = self.run(connection, _FIND_DIMENSIONS).scalar()
        if found is None:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_OPENING_LOCK,))
            _require_extension(connection)
            storage = "PLAIN" if self.dimensions <= _INLINE_DIMENSIONS else "EXTERNAL"
            names = {"index": self.name, "dates": _DATES.format(index=self.name)}
            for statement in _CREATE.format(**names, dimensions=self.dimensions, storage=storage).split(";"):
                connection.exec_driver_sql(statement)
            found = self.run(connection, _FIND_DIMENSIONS).scalar()
        if found != self.dimensions:
            raise StoreMisconfigured(
                f"The index {self.name} in PostgreSQL has vectors of {found} dimensions, and the embedder makes "
                f"{self.dimensions}: run `kvasir sync` to build a new index."
            )

    def is_whole(self, connection: Connection) -> bool:
        """Return whether no table was emptied; a missing one raises the database's error."""
        return bool(self.run(connection, _CHECK).scalar())

    def prune(self, connection: Connection) -> None:
        """Delete the counts that are zero."""
        self.lock(connection)
        for statement in _PRUNE:
            self.run(connection, statement)

    def lock(self, connection: Connection) -> None:
        """Wait for the other writers of this index, and keep them out until the transaction ends."""
        self.run(connection, "SELECT FROM {index}_totals FOR UPDATE")

    def plan_maintenance(self, connection: Connection, least_passages: int) -> Sequence[str]:
        """Return the statements that are due: new figures for the planner, the index of dates, the graph of vectors."""
        passages, planned, has_graph, is_building, has_dates = self.run(connection, _MEASURE).one()
        statements = []
        if passages > 2 * planned:  # autovacuum comes later, and until then a search may take the wrong way
            statements.append(f"ANALYZE {self.list_names()}")
        if not has_dates and not is_building:  # that of an earlier state has no shelves
            dates = _DATES.format(index=self.name)
            statements += [f"DROP INDEX CONCURRENTLY IF EXISTS {self.name}_dates", f"CREATE INDEX CONCURRENTLY {dates}"]
        if passages >= least_passages and not has_graph and not is_building:
            if has_graph is not None:  # an interrupted build leaves an index that is written and never read
                statements.append(f"DROP INDEX CONCURRENTLY IF EXISTS {self.name}_graph")
            statements.append(_GRAPH.format(index=self.name, dimensions=self.dimensions))
        return statements

    def drop(self, connection: Connection) -> None:
        """Delete the tables, in the order in which others lock them."""
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self.list_names()}")

    def list_names(self) -> str:
        """Return the tables with commas between."""
        return ", ".join(f"{self.name}_{table}" for table in _TABLES)


def make_tables(index: str, namespace: str, dimensions: int) -> IndexTables:
    """Return the tables of an index: those of ``kvasir_1a2b`` begin with it, or with ``kvasir_acme_1a2b``.

    Raises:
        StoreMisconfigured: a name is not plain, or the vectors are too long.

    """
    if not _INDEX_NAME.fullmatch(index) or (namespace and not re.fullmatch("[a-z][a-z0-9]*", namespace)):
        raise StoreMisconfigured("The name of an index, and KVASIR_NAMESPACE, must be small letters and digits.")
    if dimensions > MOST_DIMENSIONS:
        raise StoreMisconfigured(
            f"The embedder makes vectors of {dimensions} dimensions, and PostgreSQL takes {MOST_DIMENSIONS}: use "
            "another store or embedder."
        )
    own = f"{namespace}_" if namespace else ""
    return IndexTables(f"{INDEX_PREFIX}{own}{index.removeprefix(INDEX_PREFIX)}", dimensions)


def list_index_names(connection: Connection, namespace: str) -> list[str]:
    """Return the names of the indexes in a namespace."""
    start = f"{INDEX_PREFIX}{namespace}_" if namespace else INDEX_PREFIX
    tables = connection.exec_driver_sql(_LIST_TABLES, (start,)).scalars()
    parts = [name.removeprefix(start).split("_") for name in tables]
    return sorted(f"{INDEX_PREFIX}{one[0]}" for one in parts if one[1:] == ["totals"])


def _require_extension(connection: Connection) -> None:
    """Create pgvector's extension if it is missing, and compare its version."""
    version = connection.exec_driver_sql(_FIND_VERSION).scalar()
    if version is None:
        try:
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _NO_EXTENSION:
                raise
            raise StoreMisconfigured(
                "PostgreSQL has no pgvector in this database: install pgvector 0.8 or newer on its server, then let an "
                "administrator run CREATE EXTENSION vector in the database."
            ) from error
        version = connection.exec_driver_sql(_FIND_VERSION).scalar_one()
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < _OLDEST_VERSION:
        raise StoreMisconfigured(
            f"PostgreSQL has pgvector {version}, and Kvasir needs 0.8: install a newer one, then let an administrator "
            "run ALTER EXTENSION vector UPDATE in this database."
        )
