"""Convert passages to rows of the embedded store's table, and a scope to its SQL condition, without I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from knowledge.interfaces import Chunk, Matrix, Scope, StoredChunk
from knowledge.stores.common import LegHit, from_microseconds, to_microseconds

PASSAGE_COLUMNS = ("id", "source", "document", "title", "heading", "text", "url", "audience", "kind", "modified_at")
"""The columns of a ``Chunk``, in the order of its fields."""

SEARCH_COLUMNS = PASSAGE_COLUMNS[:7]
"""The columns that a search reads. Each column costs a visit to every row."""

ADDED_COLUMNS = {"kind": "''", "modified_at": "CAST(NULL AS BIGINT)", "audience": "''"}
"""Columns that later versions added. A table without them gets them empty, and still answers while a new one grows.
Its rows of no audience class are proposed to everybody, and the manifest decides."""


def make_row_schema(dimensions: int) -> pa.Schema:
    """Return the table's columns."""
    text = ("source", "document", "title", "heading", "text", "terms")
    return pa.schema(
        [
            # With a primary key, two writers that insert the same new id conflict, instead of making two rows.
            pa.field("id", pa.string(), nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"}),
            *(pa.field(name, pa.string(), nullable=False) for name in text),
            pa.field("url", pa.string()),
            pa.field("audience", pa.string()),
            pa.field("kind", pa.string()),
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
        "modified_at": [None if chunk.modified_at is None else to_microseconds(chunk.modified_at) for chunk in chunks],
        "vector": pa.FixedSizeListArray.from_arrays(flat, dimensions),
    }
    plain = {name: [getattr(chunk, name) for chunk in chunks] for name in schema.names if name not in columns}
    return pa.table({**plain, **columns}, schema=schema)


def read_leg_hits(table: pa.Table, cosines: Sequence[float], scores: Sequence[float]) -> list[LegHit]:
    """Return the results of a search with their scores, without audience, kind and date."""
    columns = [*(table.column(name).to_pylist() for name in SEARCH_COLUMNS), [""] * table.num_rows]
    return [
        LegHit(Chunk(*values), cosine, score) for *values, cosine, score in zip(*columns, cosines, scores, strict=True)
    ]


def read_rows(table: pa.Table) -> list[StoredChunk]:
    """Return whole rows."""
    vectors = read_vectors(table)
    columns = {name: table.column(name).to_pylist() for name in PASSAGE_COLUMNS}
    columns["kind"] = [kind or "" for kind in columns["kind"]]
    columns["modified_at"] = [None if made is None else from_microseconds(made) for made in columns["modified_at"]]
    chunks = [Chunk(*values) for values in zip(*columns.values(), strict=True)]
    return [StoredChunk(*row) for row in zip(chunks, vectors, table.column("terms").to_pylist(), strict=True)]


def read_vectors(table: pa.Table) -> Matrix:
    """Return the column of vectors as one array of shape ``(rows, dimensions)``."""
    vectors: Matrix = table.column("vector").combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return vectors


def make_condition(scope: Scope) -> str:
    """Return a scope as one SQL condition, which both legs apply before they count."""
    conditions = [f"source IN ({quote_literals(sorted(scope.sources))})"]
    if scope.audiences is not None:
        conditions.append(f"audience IN ({quote_literals(['', *sorted(scope.audiences)])})")
    if scope.kinds:
        conditions.append(f"kind IN ({quote_literals(sorted(scope.kinds))})")
    if scope.after is not None:
        conditions.append(f"modified_at >= {to_microseconds(scope.after)}")
    if scope.before is not None:
        conditions.append(f"modified_at < {to_microseconds(scope.before)}")
    return " AND ".join(conditions)


def quote_literals(values: Collection[str]) -> str:
    """Return SQL string literals, separated by commas. Only the quote is special in them, so it is doubled."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
