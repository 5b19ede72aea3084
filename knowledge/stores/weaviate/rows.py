"""Convert passages to properties of Weaviate objects, and search results back to passages.

Source, audience and kind are each one FIELD token in brackets. FIELD trims outer whitespace, and two sources that
differ only there must stay different. A moment is two integers, seconds and microseconds. The server stores numbers as
floats, and its dates end in the year 2262.
"""

from __future__ import annotations

import uuid
import warnings
from typing import Any

import numpy as np

from knowledge.interfaces import Chunk, StoredChunk, Vector
from knowledge.stores.common import from_microseconds, to_microseconds

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    from weaviate.proto.v1 import search_get_pb2 as wire

_IDS = uuid.UUID("6f1c0a52-8d0e-5b7a-9c43-2f5d1be7a9c4")
"""The namespace of object ids. Any string may be a passage's id, and equal ids give equal object ids."""

RETURNED = (
    "chunk_id",
    "source",
    "document",
    "title",
    "heading",
    "text",
    "url",
    "audience",
    "kind",
    "modified_s",
    "modified_us",
)

SEARCHED = RETURNED[:7]

SECOND = 1_000_000


def make_object_id(chunk_id: str) -> uuid.UUID:
    """Return the object's id for a passage's id."""
    return uuid.uuid5(_IDS, chunk_id)


def make_exact_token(value: str) -> str:
    """Return a token that is equal only for equal values."""
    return f"<{value}>"


def make_properties(row: StoredChunk) -> dict[str, Any]:
    """Return the properties of a row, without its vector."""
    chunk = row.chunk
    properties: dict[str, Any] = {
        "chunk_id": chunk.id,
        "source": make_exact_token(chunk.source),
        "document": chunk.document,
        "title": chunk.title,
        "heading": chunk.heading,
        "text": chunk.text,
        "url": chunk.url,
        "audience": make_exact_token(chunk.audience),
        "kind": make_exact_token(chunk.kind),
        "terms": row.terms,
    }
    if chunk.modified_at is not None:
        properties["modified_s"], properties["modified_us"] = divmod(to_microseconds(chunk.modified_at), SECOND)
    return properties


def read_chunk(found: wire.SearchResult) -> Chunk:
    """Return the passage of a search result; for ``RETURNED`` it is the inverse of ``make_properties``.

    Fields that the search did not read stay empty, also the audience.
    """
    fields = found.properties.non_ref_props.fields
    url, seconds = fields["url"], fields["modified_s"]
    return Chunk(
        id=fields["chunk_id"].text_value,
        source=fields["source"].text_value[1:-1],
        document=fields["document"].text_value,
        title=fields["title"].text_value,
        heading=fields["heading"].text_value,
        text=fields["text"].text_value,
        url=url.text_value if url.HasField("text_value") else None,
        audience=fields["audience"].text_value[1:-1],
        kind=fields["kind"].text_value[1:-1],
        modified_at=(
            from_microseconds(seconds.int_value * SECOND + fields["modified_us"].int_value)
            if seconds.HasField("int_value")
            else None
        ),
    )


def take_audience(found: wire.SearchResult) -> str:
    """Return the key of a search result's audience class, and remove it, because candidates have none."""
    fields = found.properties.non_ref_props.fields
    audience: str = fields["audience"].text_value[1:-1]
    del fields["audience"]
    return audience


def read_vector(found: wire.SearchResult) -> Vector:
    """Return the full vector that is stored with a row."""
    return np.frombuffer(found.metadata.vectors[0].vector_bytes, dtype="<f4")


def read_row(found: wire.SearchResult) -> StoredChunk:
    """Return the whole row of a search result. Its vector is writable."""
    terms = found.properties.non_ref_props.fields["terms"].text_value
    return StoredChunk(read_chunk(found), read_vector(found).astype(np.float32), terms)
