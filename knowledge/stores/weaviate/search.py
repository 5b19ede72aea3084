"""Search with messages of the server's own protocol.

The server's hybrid search returns the scores of the legs only as text, and our fusion needs them exact. The client's
queries take four times as long to unpack a reply as the server to send it, and retry a dead node. The messages are the
ones that the client makes.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from knowledge.interfaces import Candidate, Scope, StoredChunk, Vector
from knowledge.stores.common import to_microseconds
from knowledge.stores.weaviate.placement import Consistency
from knowledge.stores.weaviate.rows import (
    RETURNED,
    SEARCHED,
    SECOND,
    make_exact_token,
    make_object_id,
    read_chunk,
    read_row,
    read_vector,
    take_audience,
)
from knowledge.stores.weaviate.schema import BM25_SCALE

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    from weaviate.proto.v1 import base_pb2, base_search_pb2
    from weaviate.proto.v1 import search_get_pb2 as wire

SearchCall = Callable[[wire.SearchRequest], Awaitable[wire.SearchReply]]

FetchRows = Callable[[int, base_pb2.Filters, Sequence[str]], Awaitable[Sequence[wire.SearchResult]]]
"""Returns the best rows of one leg: at most so many, behind a filter, with these properties."""

_MANY_CLASSES: Final = 400
"""Each class in a filter costs the server 14 µs, so 400 cost about as much as reading twice the rows."""

_LEVELS: Final = {
    "ONE": base_pb2.CONSISTENCY_LEVEL_ONE,
    "QUORUM": base_pb2.CONSISTENCY_LEVEL_QUORUM,
    "ALL": base_pb2.CONSISTENCY_LEVEL_ALL,
}


@dataclass(frozen=True, slots=True)
class SearchTarget:
    """The collection to search."""

    collection: str
    tenant: str | None
    level: Consistency

    def make_request(
        self, limit: int, within: base_pb2.Filters, returned: Sequence[str], *, vector: bool
    ) -> wire.SearchRequest:
        """Return a search for ``limit`` rows with a filter."""
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


async def search_lexical(
    search: SearchCall, place: SearchTarget, terms: str, vector: Vector | None, pool: int, scope: Scope
) -> list[Candidate]:
    """Return the ``pool`` best rows by BM25, with their exact cosines if there is a vector."""
    if not terms.strip():
        return []

    async def fetch_rows(limit: int, within: base_pb2.Filters, returned: Sequence[str]) -> Sequence[wire.SearchResult]:
        request = place.make_request(limit, within, returned, vector=vector is not None)
        request.bm25_search.CopyFrom(base_search_pb2.BM25(query=terms, properties=["terms"]))
        return list((await search(request)).results)

    found = await _fetch_scope(fetch_rows, pool, scope, complete=True)
    return [Candidate(read_chunk(one), BM25_SCALE * one.metadata.score, _compute_cosine(one, vector)) for one in found]


async def search_dense(
    search: SearchCall, place: SearchTarget, vector: Vector | None, pool: int, scope: Scope
) -> list[Candidate]:
    """Return the ``pool`` nearest rows, with their exact cosines."""
    if vector is None:
        return []
    nearest = base_pb2.Vectors(
        vector_bytes=vector.astype("<f4").tobytes(), type=base_pb2.Vectors.VECTOR_TYPE_SINGLE_FP32
    )

    async def fetch_rows(limit: int, within: base_pb2.Filters, returned: Sequence[str]) -> Sequence[wire.SearchResult]:
        request = place.make_request(limit, within, returned, vector=True)
        request.near_vector.CopyFrom(base_search_pb2.NearVector(vectors=[nearest]))
        return list((await search(request)).results)

    found = await _fetch_scope(fetch_rows, pool, scope, complete=False)
    return [Candidate(read_chunk(one), 0.0, _compute_cosine(one, vector)) for one in found]


async def _fetch_scope(fetch: FetchRows, pool: int, scope: Scope, *, complete: bool) -> Sequence[wire.SearchResult]:
    """Return the ``pool`` best rows of a leg in a scope.

    With very many classes, twice the rows are read and filtered here. If too few remain, the server filters. A leg is
    ``complete`` if fewer rows than the limit are all there are; a walk through the graph may miss some.
    """
    audiences = scope.audiences
    if audiences is not None and len(audiences) > _MANY_CLASSES:
        rows = await fetch(2 * pool, make_filter(replace(scope, audiences=None)), (*SEARCHED, "audience"))
        usable = [one for one in rows if take_audience(one) in audiences]
        if len(usable) >= pool or (complete and len(rows) < 2 * pool):
            return usable[:pool]
    return await fetch(pool, make_filter(scope), SEARCHED)


async def fetch_by_ids(search: SearchCall, place: SearchTarget, ids: Sequence[str]) -> list[StoredChunk]:
    """Return the whole rows with these ids."""
    within = base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_CONTAINS_ANY,
        value_text_array=base_pb2.TextArray(values=[str(make_object_id(id_)) for id_ in ids]),
        target=base_pb2.FilterTarget(property="_id"),
    )
    reply = await search(place.make_request(len(ids), within, [*RETURNED, "terms"], vector=True))
    return [read_row(one) for one in reply.results]


def _compute_cosine(found: wire.SearchResult, vector: Vector | None) -> float:
    # Use the full vector that is stored with the row, because the index computes distances from the rounded one.
    return 0.0 if vector is None else float(read_vector(found) @ vector)


# ── Filters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_filter(scope: Scope) -> base_pb2.Filters:
    """Return the filter for a scope with at least one source."""
    parts = [_match_any("source", scope.sources)]
    if scope.audiences is not None:
        parts.append(_match_any("audience", scope.audiences))
    if scope.kinds:
        parts.append(_match_any("kind", scope.kinds))
    if scope.after is not None:
        parts.append(
            _compare_moment(
                scope.after, base_pb2.Filters.OPERATOR_GREATER_THAN, base_pb2.Filters.OPERATOR_GREATER_THAN_EQUAL
            )
        )
    if scope.before is not None:
        parts.append(
            _compare_moment(scope.before, base_pb2.Filters.OPERATOR_LESS_THAN, base_pb2.Filters.OPERATOR_LESS_THAN)
        )
    return base_pb2.Filters(operator=base_pb2.Filters.OPERATOR_AND, filters=parts)


def _match_any(name: str, values: Collection[str]) -> base_pb2.Filters:
    return base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_CONTAINS_ANY,
        value_text_array=base_pb2.TextArray(values=[make_exact_token(value) for value in sorted(values)]),
        target=base_pb2.FilterTarget(property=name),
    )


def _compare_moment(
    made: datetime, beyond: base_pb2.Filters.Operator, within: base_pb2.Filters.Operator
) -> base_pb2.Filters:
    """Compare with a moment: ``beyond`` for other seconds, ``within`` for the microseconds of the same second."""
    seconds, rest = divmod(to_microseconds(made), SECOND)
    same = base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_AND,
        filters=[
            _compare_number("modified_s", base_pb2.Filters.OPERATOR_EQUAL, seconds),
            _compare_number("modified_us", within, rest),
        ],
    )
    return base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_OR, filters=[_compare_number("modified_s", beyond, seconds), same]
    )


def _compare_number(name: str, operator: base_pb2.Filters.Operator, value: int) -> base_pb2.Filters:
    return base_pb2.Filters(operator=operator, value_int=value, target=base_pb2.FilterTarget(property=name))
