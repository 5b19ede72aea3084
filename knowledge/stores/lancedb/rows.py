"""Convert passages to rows of the embedded store's table, and a scope to its filter, without I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache, reduce
from operator import and_

import numpy as np
import pyarrow as pa
from lancedb.expr import Expr, col

from knowledge.interfaces import Candidate, Chunk, Matrix, Scope, StoredChunk
from knowledge.interfaces.audiences import ANY_NUMBER
from knowledge.stores.common import from_microseconds, to_class_key, to_class_number, to_microseconds

PASSAGE_COLUMNS = (
    "id", "source", "document", "title", "heading", "text", "url", "class_number", "kind", "modified_at", "principals",
)  # fmt: skip
"""The columns of a ``Chunk``, in the order of its fields."""

SEARCH_COLUMNS = PASSAGE_COLUMNS[:7]
"""The columns that a search reads. Each column costs a visit to every row."""

ADDED_COLUMNS = {"kind": "''", "modified_at": "CAST(NULL AS BIGINT)", "class_number": "CAST(0 AS BIGINT)"}
"""Columns that later versions added. A table without them gets them empty, and still answers while a new one grows.
Its rows of no audience class are proposed to everybody, and the manifest decides."""

NUMBERS = pa.field("principals", pa.list_(pa.int64()))
"""A column that a later version added to the same table, without values, so that an earlier version can still write.
The nightly comparison fills it, and nothing is embedded again."""

HELD_BY_ANY = f"array_has_any(principals, [{ANY_NUMBER}])"
"""The filter of rows that ``Scope.principals`` proposes to everybody."""


def make_row_schema(dimensions: int) -> pa.Schema:
    """Return the table's columns."""
    text = ("source", "document", "title", "heading", "text", "terms")
    return pa.schema(
        [
            # With a primary key, two writers that insert the same new id conflict, instead of making two rows.
            pa.field("id", pa.string(), nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"}),
            *(pa.field(name, pa.string(), nullable=False) for name in text),
            pa.field("url", pa.string()),
            pa.field("class_number", pa.int64()),
            pa.field("kind", pa.string()),
            NUMBERS,
            pa.field("modified_at", pa.int64()),  # Microseconds since the epoch need no time zone in comparisons.
            pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
        ]
    )


def make_batch(rows: Sequence[StoredChunk], dimensions: int) -> pa.Table:
    """Return rows in the form in which they are written."""
    chunks = [row.chunk for row in rows]
    flat = pa.array(np.concatenate([row.vector for row in rows]).astype(np.float32, copy=False))
    schema = make_row_schema(dimensions)
    columns = {
        "terms": [row.terms for row in rows],
        "class_number": [to_class_number(chunk.audience) for chunk in chunks],
        "modified_at": [None if chunk.modified_at is None else to_microseconds(chunk.modified_at) for chunk in chunks],
        "vector": pa.FixedSizeListArray.from_arrays(flat, dimensions),
    }
    plain = {name: [getattr(chunk, name) for chunk in chunks] for name in schema.names if name not in columns}
    return pa.table({**plain, **columns}, schema=schema)


def read_candidates(table: pa.Table, scores: Sequence[float], cosines: Sequence[float]) -> list[Candidate]:
    """Return the results of a search with their scores, without audience, kind and date."""
    columns = [*(table.column(name).to_pylist() for name in SEARCH_COLUMNS), [""] * table.num_rows]
    return [
        Candidate(Chunk(*values), score, cosine)
        for *values, score, cosine in zip(*columns, scores, cosines, strict=True)
    ]


def read_rows(table: pa.Table) -> list[StoredChunk]:
    """Return whole rows."""
    vectors = read_vectors(table)
    columns = {name: table.column(name).to_pylist() for name in PASSAGE_COLUMNS}
    columns["class_number"] = [to_class_key(number) for number in columns["class_number"]]
    columns["kind"] = [kind or "" for kind in columns["kind"]]
    columns["principals"] = [tuple(one or ()) for one in columns["principals"]]
    columns["modified_at"] = [None if made is None else from_microseconds(made) for made in columns["modified_at"]]
    chunks = [Chunk(*values) for values in zip(*columns.values(), strict=True)]
    return [StoredChunk(*row) for row in zip(chunks, vectors, table.column("terms").to_pylist(), strict=True)]


def read_vectors(table: pa.Table) -> Matrix:
    """Return the column of vectors as one array of shape ``(rows, dimensions)``."""
    vectors: Matrix = table.column("vector").combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return vectors


def make_filter(scope: Scope) -> Expr | str:
    """Return the filter of a scope, which both legs apply before they count.

    An expression saves the parsing of SQL, which takes as long as the search for a person in hundreds of groups.
    """
    parts = [col("source").isin(sorted(scope.sources))]
    if scope.audiences is not None:
        parts.append(_match_classes(scope.audiences))
    if scope.kinds:
        parts.append(col("kind").isin(sorted(scope.kinds)))
    if scope.after is not None:
        parts.append(col("modified_at") >= to_microseconds(scope.after))
    if scope.before is not None:
        parts.append(col("modified_at") < to_microseconds(scope.before))
    within: Expr = reduce(and_, parts)
    if scope.principals is None:
        return within
    held = (f"array_has_any(principals, [{', '.join(map(str, numbers))}])" for numbers in scope.principals)
    return " AND ".join((within.to_sql(), *held))  # the library has no expression for lists


@lru_cache(maxsize=64)
def _match_classes(audiences: frozenset[str]) -> Expr:
    return col("class_number").isin([to_class_number(""), *sorted(map(to_class_number, audiences))])


def quote_literals(values: Collection[str]) -> str:
    """Return SQL string literals, separated by commas. Only the quote is special in them, so it is doubled."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
