"""The differences between OpenSearch and Elasticsearch: names, versions, and how vectors are declared and searched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

Json = dict[str, Any]

_GRAPH: Final = {"m": 16, "ef_construction": 100}
"""The size of the graph of vectors: the default of both servers."""
_WIDTH: Final = 4
"""So many times the pool are compared in each graph. A filter that leaves no more rows than that is exact."""
_LEAST: Final = 200
MAX_POOL: Final = 10_000
"""The most rows that a search returns, by the default of both servers."""


class Dialect(ABC):
    """What one of the servers calls itself, and how it declares and searches vectors."""

    name: ClassVar[str]
    prefix: ClassVar[str]
    """The beginning of its variables."""
    is_elastic: ClassVar[bool]
    """Whether its answers name Elasticsearch in a header."""
    oldest: ClassVar[tuple[int, int]]
    """The oldest version that has all that Kvasir uses."""
    index_settings: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def make_vector_field(self, dimensions: int) -> Json:
        """Return the declaration of the vectors: whole ones, in a graph, compared by their inner product."""

    @abstractmethod
    def make_nearest(self, vector: Sequence[float], pool: int, filters: Sequence[Json]) -> Json:
        """Return the part of a search that finds the ``pool`` rows nearest to a vector among those of the filters."""


class OpenSearchDialect(Dialect):
    """OpenSearch with its k-NN plugin, which every distribution of it has, on the engine of Lucene."""

    name = "OpenSearch"
    prefix = "OPENSEARCH"
    is_elastic = False
    oldest = (2, 17)
    index_settings: ClassVar[Mapping[str, Any]] = {"knn": True}

    def make_vector_field(self, dimensions: int) -> Json:
        """Return a ``knn_vector``."""
        method = {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct", "parameters": _GRAPH}
        return {"type": "knn_vector", "dimension": dimensions, "method": method}

    def make_nearest(self, vector: Sequence[float], pool: int, filters: Sequence[Json]) -> Json:
        """Return a ``knn`` query. Each part of the index gives ``k`` rows, and the search keeps the best."""
        nearest = {"vector": vector, "k": _choose_width(pool), "filter": {"bool": {"filter": filters}}}
        return {"query": {"knn": {"vector": nearest}}}


class ElasticsearchDialect(Dialect):
    """Elasticsearch, in every distribution."""

    name = "Elasticsearch"
    prefix = "ELASTICSEARCH"
    is_elastic = True
    oldest = (8, 12)

    def make_vector_field(self, dimensions: int) -> Json:
        """Return a ``dense_vector`` that is not rounded, as newer versions do by default."""
        options = {"type": "hnsw", **_GRAPH}
        shape = {"dims": dimensions, "index": True, "similarity": "max_inner_product", "index_options": options}
        return {"type": "dense_vector", **shape}

    def make_nearest(self, vector: Sequence[float], pool: int, filters: Sequence[Json]) -> Json:
        """Return a ``knn`` search."""
        width = _choose_width(pool)
        nearest = {"field": "vector", "query_vector": vector, "k": pool, "num_candidates": width, "filter": filters}
        return {"knn": nearest}


def _choose_width(pool: int) -> int:
    return min(max(_WIDTH * pool, _LEAST), MAX_POOL)


OPENSEARCH: Final = OpenSearchDialect()
ELASTICSEARCH: Final = ElasticsearchDialect()
