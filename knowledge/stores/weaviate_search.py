"""The two legs of a search, as plain queries.

Why not the server's own hybrid: the scores of the legs come back only as text, and our fusion needs them exact.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from knowledge.interfaces import Vector
from knowledge.stores.common import Found
from knowledge.stores.weaviate_rows import RETURNED, chunk_of
from knowledge.stores.weaviate_schema import BM25_SCALE

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    from weaviate.classes.query import MetadataQuery


async def lexical(query: Any, terms: str, vector: Vector | None, pool: int, where: Any) -> list[Found]:  # noqa: ANN401 - generic in the client
    """Return the ``pool`` best rows by BM25, with their exact cosines where there is a vector."""
    if not terms.strip():
        return []
    answer = await query.bm25(
        terms,
        query_properties=["terms"],
        limit=pool,
        filters=where,
        include_vector=vector is not None,
        return_properties=list(RETURNED),
        return_metadata=MetadataQuery(score=True),
    )
    return [_found(found, vector, BM25_SCALE * (found.metadata.score or 0.0)) for found in answer.objects]


async def dense(query: Any, vector: Vector | None, pool: int, where: Any) -> list[Found]:  # noqa: ANN401
    """Return the ``pool`` nearest rows, with their exact cosines."""
    if vector is None:
        return []
    answer = await query.near_vector(
        vector.tolist(), limit=pool, filters=where, include_vector=True, return_properties=list(RETURNED)
    )
    return [_found(found, vector) for found in answer.objects]


def _found(found: Any, vector: Vector | None, bm25: float = 0.0) -> Found:  # noqa: ANN401
    if vector is None:
        return Found(chunk_of(found.properties), 0.0, bm25)
    # From the full vector that is kept with the row: the index's own distance is of the rounded one.
    cosine = float(np.asarray(found.vector["default"], dtype=np.float32) @ vector)
    return Found(chunk_of(found.properties), cosine, bm25)
