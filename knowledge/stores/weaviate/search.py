"""The searches, as messages of the server's own protocol.

Why not the server's hybrid: the scores of the legs come back only as text, and our fusion needs them exact. Why not the
client's queries: it takes four times as long to make lists of floats and dictionaries of a reply as the server to give
it, and goes on trying a dead node behind our back. The messages are the client's; it makes the same ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from knowledge.interfaces import Scope, StoredChunk, Vector
from knowledge.settings import Consistency
from knowledge.stores.common import Found, audience, microseconds
from knowledge.stores.weaviate.rows import RETURNED, SEARCHED, SECOND, chunk_of, exact, object_id, stored, vector_of
from knowledge.stores.weaviate.schema import BM25_SCALE

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    from weaviate.proto.v1 import base_pb2, base_search_pb2
    from weaviate.proto.v1 import search_get_pb2 as wire

Search = Callable[[wire.SearchRequest], Awaitable[wire.SearchReply]]
"""Sends a search to one node."""

_LEVELS: Final = {
    "ONE": base_pb2.CONSISTENCY_LEVEL_ONE,
    "QUORUM": base_pb2.CONSISTENCY_LEVEL_QUORUM,
    "ALL": base_pb2.CONSISTENCY_LEVEL_ALL,
}


@dataclass(frozen=True, slots=True)
class Place:
    """What is searched."""

    collection: str
    tenant: str | None
    level: Consistency

    def request(
        self, limit: int, within: base_pb2.Filters, returned: Sequence[str], *, vector: bool
    ) -> wire.SearchRequest:
        """Return a search for ``limit`` rows behind a filter."""
        return wire.SearchRequest(
            collection=self.collection,
            tenant=self.tenant or "",
            consistency_level=_LEVELS[self.level],
            limit=limit,
            filters=within,
            properties=wire.PropertiesRequest(non_ref_properties=returned),
            metadata=wire.MetadataRequest(vector=vector, score=True),
            uses_123_api=True,
            uses_125_api=True,
            uses_127_api=True,
        )


async def lexical(
    search: Search, place: Place, terms: str, vector: Vector | None, pool: int, within: base_pb2.Filters
) -> list[Found]:
    """Return the ``pool`` best rows by BM25, with their exact cosines where there is a vector."""
    if not terms.strip():
        return []
    request = place.request(pool, within, SEARCHED, vector=vector is not None)
    request.bm25_search.CopyFrom(base_search_pb2.BM25(query=terms, properties=["terms"]))
    found = (await search(request)).results
    return [Found(chunk_of(one), _cosine(one, vector), BM25_SCALE * one.metadata.score) for one in found]


async def dense(
    search: Search, place: Place, vector: Vector | None, pool: int, within: base_pb2.Filters
) -> list[Found]:
    """Return the ``pool`` nearest rows, with their exact cosines."""
    if vector is None:
        return []
    request = place.request(pool, within, SEARCHED, vector=True)
    asked = base_pb2.Vectors(vector_bytes=vector.astype("<f4").tobytes(), type=base_pb2.Vectors.VECTOR_TYPE_SINGLE_FP32)
    request.near_vector.CopyFrom(base_search_pb2.NearVector(vectors=[asked]))
    return [Found(chunk_of(one), _cosine(one, vector)) for one in (await search(request)).results]


async def by_ids(search: Search, place: Place, ids: Sequence[str]) -> list[StoredChunk]:
    """Return the whole rows with these ids."""
    within = base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_CONTAINS_ANY,
        value_text_array=base_pb2.TextArray(values=[str(object_id(id_)) for id_ in ids]),
        target=base_pb2.FilterTarget(property="_id"),
    )
    reply = await search(place.request(len(ids), within, [*RETURNED, "terms"], vector=True))
    return [stored(one) for one in reply.results]


def _cosine(found: wire.SearchResult, vector: Vector | None) -> float:
    # From the full vector that is kept with the row: the index's own distance is of the rounded one.
    return 0.0 if vector is None else float(vector_of(found) @ vector)


# ── Filters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def where(scope: Scope) -> base_pb2.Filters:
    """Return the filter for a scope with at least one source."""
    parts = [_any_of("source", scope.sources), _any_of("readers", audience(scope.readers))]
    if scope.kinds:
        parts.append(_any_of("kind", scope.kinds))
    if scope.after is not None:
        parts.append(
            _apart(scope.after, base_pb2.Filters.OPERATOR_GREATER_THAN, base_pb2.Filters.OPERATOR_GREATER_THAN_EQUAL)
        )
    if scope.before is not None:
        parts.append(_apart(scope.before, base_pb2.Filters.OPERATOR_LESS_THAN, base_pb2.Filters.OPERATOR_LESS_THAN))
    return _of(base_pb2.Filters.OPERATOR_AND, parts)


def _any_of(name: str, values: Collection[str]) -> base_pb2.Filters:
    return base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_CONTAINS_ANY,
        value_text_array=base_pb2.TextArray(values=[exact(value) for value in sorted(values)]),
        target=base_pb2.FilterTarget(property=name),
    )


def _apart(made: datetime, beyond: base_pb2.Filters.Operator, within: base_pb2.Filters.Operator) -> base_pb2.Filters:
    """Compare with a moment: in another second by ``beyond``, in the same one its microseconds by ``within``."""
    seconds, rest = divmod(microseconds(made), SECOND)
    same = _of(
        base_pb2.Filters.OPERATOR_AND,
        [
            _number("modified_s", base_pb2.Filters.OPERATOR_EQUAL, seconds),
            _number("modified_us", within, rest),
        ],
    )
    return _of(base_pb2.Filters.OPERATOR_OR, [_number("modified_s", beyond, seconds), same])


def _number(name: str, operator: base_pb2.Filters.Operator, value: int) -> base_pb2.Filters:
    return base_pb2.Filters(operator=operator, value_int=value, target=base_pb2.FilterTarget(property=name))


def _of(operator: base_pb2.Filters.Operator, parts: Sequence[base_pb2.Filters]) -> base_pb2.Filters:
    return base_pb2.Filters(operator=operator, filters=parts)
