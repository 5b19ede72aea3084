"""A passage as a Weaviate object's properties, and back; a scope as a filter.

What identifies something (source, readers, kind) is one FIELD token in brackets: FIELD trims outer whitespace, and two
audiences that differ only there must not meet. A moment is two integers, seconds and microseconds: the server keeps
numbers as floats, and its dates end in the year 2262.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from knowledge.interfaces import Chunk, Scope, StoredChunk
from knowledge.stores.common import audience, microseconds, moment

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    from weaviate.classes.query import Filter

_IDS = uuid.UUID("6f1c0a52-8d0e-5b7a-9c43-2f5d1be7a9c4")
"""The namespace that turns a passage's id into an object's: any string may be an id, and equal ids meet."""

RETURNED = (
    "chunk_id",
    "source",
    "document",
    "title",
    "heading",
    "text",
    "url",
    "readers",
    "kind",
    "modified_s",
    "modified_us",
)
"""The properties that ``chunk_of`` needs."""

_SECOND = 1_000_000
"""In microseconds."""


def object_id(chunk_id: str) -> uuid.UUID:
    """Return the object's id for a passage's."""
    return uuid.uuid5(_IDS, chunk_id)


def exact(value: str) -> str:
    """Return the token that is equal for equal values alone."""
    return f"<{value}>"


def properties(row: StoredChunk) -> dict[str, Any]:
    """Return what is kept of a row besides its vector."""
    chunk = row.chunk
    kept: dict[str, Any] = {
        "chunk_id": chunk.id,
        "source": exact(chunk.source),
        "document": chunk.document,
        "title": chunk.title,
        "heading": chunk.heading,
        "text": chunk.text,
        "url": chunk.url,
        "readers": [exact(reader) for reader in sorted(chunk.readers)],
        "kind": exact(chunk.kind),
        "terms": row.terms,
    }
    if chunk.modified_at is not None:
        kept["modified_s"], kept["modified_us"] = divmod(microseconds(chunk.modified_at), _SECOND)
    return kept


def chunk_of(held: Mapping[str, Any]) -> Chunk:
    """Return the passage of an object's properties; the exact opposite of ``properties``."""
    seconds = held["modified_s"]
    return Chunk(
        id=held["chunk_id"],
        source=held["source"][1:-1],
        document=held["document"],
        title=held["title"],
        heading=held["heading"],
        text=held["text"],
        url=held["url"],
        readers=frozenset(reader[1:-1] for reader in held["readers"] or ()),
        kind=(held["kind"] or "<>")[1:-1],
        modified_at=None if seconds is None else moment(int(seconds) * _SECOND + int(held["modified_us"])),
    )


def where(scope: Scope) -> Any:  # noqa: ANN401 - the client's own union
    """Return the filter for a scope with at least one source."""
    parts = [_any_of("source", scope.sources), _any_of("readers", audience(scope.readers))]
    if scope.kinds:
        parts.append(_any_of("kind", scope.kinds))
    if scope.after is not None:
        parts.append(_from(scope.after))
    if scope.before is not None:
        parts.append(_until(scope.before))
    return Filter.all_of(parts)


def _any_of(name: str, values: Collection[str]) -> Any:  # noqa: ANN401
    return Filter.by_property(name).contains_any([exact(value) for value in sorted(values)])


def _from(made: datetime) -> Any:  # noqa: ANN401
    seconds, rest = divmod(microseconds(made), _SECOND)
    by_s = Filter.by_property("modified_s")
    if not rest:
        return by_s.greater_or_equal(seconds)
    same = by_s.equal(seconds) & Filter.by_property("modified_us").greater_or_equal(rest)
    return by_s.greater_than(seconds) | same


def _until(made: datetime) -> Any:  # noqa: ANN401
    seconds, rest = divmod(microseconds(made), _SECOND)
    by_s = Filter.by_property("modified_s")
    if not rest:
        return by_s.less_than(seconds)
    return by_s.less_than(seconds) | (by_s.equal(seconds) & Filter.by_property("modified_us").less_than(rest))
