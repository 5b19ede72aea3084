"""A passage as a Weaviate object's properties, and back.

What identifies something (source, readers) is one FIELD token in brackets: FIELD trims outer whitespace, and two
audiences that differ only there must not meet.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from knowledge.interfaces import Chunk, StoredChunk

_IDS = uuid.UUID("6f1c0a52-8d0e-5b7a-9c43-2f5d1be7a9c4")
"""The namespace that turns a passage's id into an object's: any string may be an id, and equal ids meet."""

RETURNED = ("chunk_id", "source", "document", "title", "heading", "text", "url", "readers")
"""The properties that ``chunk_of`` needs."""


def object_id(chunk_id: str) -> uuid.UUID:
    """Return the object's id for a passage's."""
    return uuid.uuid5(_IDS, chunk_id)


def exact(value: str) -> str:
    """Return the token that is equal for equal values alone."""
    return f"<{value}>"


def properties(row: StoredChunk) -> dict[str, Any]:
    """Return what is kept of a row besides its vector."""
    chunk = row.chunk
    return {
        "chunk_id": chunk.id,
        "source": exact(chunk.source),
        "document": chunk.document,
        "title": chunk.title,
        "heading": chunk.heading,
        "text": chunk.text,
        "url": chunk.url,
        "readers": [exact(reader) for reader in sorted(chunk.readers)],
        "terms": row.terms,
    }


def chunk_of(held: Mapping[str, Any]) -> Chunk:
    """Return the passage of an object's properties; the exact opposite of ``properties``."""
    return Chunk(
        id=held["chunk_id"],
        source=held["source"][1:-1],
        document=held["document"],
        title=held["title"],
        heading=held["heading"],
        text=held["text"],
        url=held["url"],
        readers=frozenset(reader[1:-1] for reader in held["readers"] or ()),
    )
