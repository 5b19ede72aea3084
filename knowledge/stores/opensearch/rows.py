"""Convert passages to documents of the server and back, and a scope to filters, without I/O.

A document holds the exact vector a second time, packed, because the servers return vectors as long text or not at all.
Its terms are a list whose entries the server takes as they are.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from knowledge.interfaces import Candidate, Chunk, Scope, StoredChunk, Vector
from knowledge.stores.common import from_microseconds, to_microseconds
from knowledge.stores.opensearch.dialects import Json

SEARCH_FIELDS: Final = ("id", "source", "document", "title", "heading", "text", "url")
"""The fields that a search reads, in the order of ``Chunk``; the vector is read too if there is one."""
VECTOR_COPY: Final = "packed_vector"

_LONGEST_TERM: Final = 8000
"""The characters of a term that count. Lucene takes 32,766 bytes, and a character has four at most."""
_MOST_TERMS: Final = 1000
"""The terms of a query that count; more are refused by the servers' usual limit. A question has at most 256."""


def make_document_id(chunk_id: str) -> str:
    """Return the id of a passage's document. The servers refuse ids of more than 512 bytes."""
    return hashlib.sha256(chunk_id.encode()).hexdigest()


def make_document(row: StoredChunk) -> Json:
    """Return the document of a row."""
    chunk = row.chunk
    return {
        **{name: getattr(chunk, name) for name in SEARCH_FIELDS},
        "audience": chunk.audience,
        "kind": chunk.kind,
        "modified_at": None if chunk.modified_at is None else to_microseconds(chunk.modified_at),
        "terms": _split_terms(row.terms),
        "vector": row.vector.tolist(),
        VECTOR_COPY: b64encode(row.vector.astype("<f4").tobytes()).decode(),
    }


def read_candidate(found: Json, bm25: float, vector: Vector | None) -> Candidate:
    """Return a search result, without audience, kind and date, with the exact cosine if there is a vector."""
    fields = found["_source"]
    values = [*(fields[name] for name in SEARCH_FIELDS), ""]
    return Candidate(Chunk(*values), bm25, 0.0 if vector is None else float(_read_vector(fields) @ vector))


def read_row(fields: Json) -> StoredChunk:
    """Return the row of a document."""
    made = fields["modified_at"]
    moment = None if made is None else from_microseconds(made)
    values = [*(fields[name] for name in (*SEARCH_FIELDS, "audience", "kind")), moment]
    return StoredChunk(Chunk(*values), _read_vector(fields).astype(np.float32), " ".join(fields["terms"]))


def _read_vector(fields: Json) -> Vector:
    return np.frombuffer(b64decode(fields[VECTOR_COPY]), dtype="<f4")


def _split_terms(terms: str) -> list[str]:
    return [term[:_LONGEST_TERM] for term in terms.split()]


def make_bulks(changes: Iterable[Sequence[Json]], most_rows: int, most_bytes: int) -> Iterator[bytes]:
    """Yield the bodies of ``_bulk`` calls: one line of JSON for each action and each document of a change.

    A body has at most ``most_rows`` changes, and more than ``most_bytes`` only if that is one change.
    """
    body, rows = bytearray(), 0
    for change in changes:
        lines = b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in change)
        if rows and (rows == most_rows or len(body) + len(lines) > most_bytes):
            yield bytes(body)
            body, rows = bytearray(), 0
        body += lines
        rows += 1
    if rows:
        yield bytes(body)


# ── Searches ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_lexical_query(terms: str, filters: Sequence[Json]) -> Json | None:
    """Return the query for rows with any of the terms; None if there are no terms."""
    wanted = list(dict.fromkeys(_split_terms(terms)))[:_MOST_TERMS]
    if not wanted:
        return None
    any_term = [{"term": {"terms": term}} for term in wanted]
    return {"query": {"bool": {"should": any_term, "minimum_should_match": 1, "filter": filters}}}


def make_filters(scope: Scope) -> list[Json]:
    """Return the filters of a scope, all of which a row must pass."""
    filters: list[Json] = [_match_any("source", scope.sources)]
    if scope.audiences is not None:
        filters.append(_match_any("audience", scope.audiences))
    if scope.kinds:
        filters.append(_match_any("kind", scope.kinds))
    bounds = {"gte": scope.after, "lt": scope.before}
    if limits := {name: to_microseconds(moment) for name, moment in bounds.items() if moment is not None}:
        filters.append({"range": {"modified_at": limits}})
    return filters


def _match_any(name: str, values: Iterable[str]) -> Json:
    return {"terms": {name: sorted(values)}}


def list_hits(answer: Json) -> list[Any]:
    """Return the results of a search."""
    hits: list[Any] = answer["hits"]["hits"]
    return hits
