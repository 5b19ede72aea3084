"""The store of production: one Weaviate collection an index, searched by two plain queries at once.

Why not its built-in hybrid: the scores of the legs come back only as text, and our fusion needs them exact. Why RQ-8
rather than uncompressed vectors: measured over 100,000 passages it halves the memory after a restart and the time to
fill, at a recall of 0.98 to 0.99 within a pool; what is missed lies at the pool's edge, and the cosines that the fusion
sees are computed here from the full vectors. Terms come ready-made, so every text is tokenised by whitespace or not at
all. What identifies something (source, readers) is one FIELD token in brackets, since FIELD trims outer whitespace.
"""

from __future__ import annotations

import logging
import uuid
import warnings
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np

from knowledge.errors import StoreError, StoreMisconfigured, StoreUnavailable
from knowledge.interfaces import Candidate, Scope, StoredChunk, Vector
from knowledge.stores.address import Address, address, collection_name, index_name
from knowledge.stores.common import (
    INDEX_PREFIX,
    Found,
    audience,
    both,
    check_rows,
    deadline,
    newest,
    slices,
    union,
)
from knowledge.stores.weaviate_errors import Sentences, says_read_only
from knowledge.stores.weaviate_rows import RETURNED, chunk_of, exact, object_id, properties

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    import weaviate
    from weaviate.classes.config import (
        Configure,
        DataType,
        Property,
        StopwordsPreset,
        Tokenization,
        VectorDistances,
    )
    from weaviate.classes.data import DataObject
    from weaviate.classes.init import AdditionalConfig, Auth, Timeout
    from weaviate.classes.query import Filter, MetadataQuery
    from weaviate.exceptions import (
        InsufficientPermissionsError,
        UnexpectedStatusCodeError,
        WeaviateBaseError,
        WeaviateConnectionError,
        WeaviateGRPCUnavailableError,
        WeaviateRetryError,
        WeaviateStartUpError,
        WeaviateTimeoutError,
    )

_SCHEMA = 1
"""Raised when the properties change: another schema is another collection, never a migration in place."""

_K1, _B = 1.2, 0.75
"""BM25's usual constants, as the embedded store has them."""

_UNREACHABLE = (
    WeaviateConnectionError,
    WeaviateGRPCUnavailableError,
    WeaviateRetryError,
    WeaviateStartUpError,
    WeaviateTimeoutError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines, in seconds, and batch sizes."""

    open_s: float = 10.0
    read_s: float = 5.0
    """Of a search: the client itself would go on trying for 63 s."""
    write_s: float = 60.0
    """Of one batch."""
    batch_rows: int = 500


def _properties() -> list[Property]:
    plain = ("chunk_id", "document", "title", "heading", "text", "url")
    return [
        *(
            Property(name=name, data_type=DataType.TEXT, index_filterable=False, index_searchable=False)
            for name in plain
        ),
        _exact_property("source", DataType.TEXT),
        _exact_property("readers", DataType.TEXT_ARRAY),
        Property(
            name="terms",
            data_type=DataType.TEXT,
            tokenization=Tokenization.WHITESPACE,
            index_filterable=False,
            index_searchable=True,
        ),
    ]


def _exact_property(name: str, data_type: DataType) -> Property:
    return Property(
        name=name,
        data_type=data_type,
        tokenization=Tokenization.FIELD,
        index_filterable=True,
        index_searchable=False,
    )


class WeaviateStore:
    """``Store`` on a Weaviate server, 1.36 or newer.

    Args:
        url: of REST, ``http://host:8080``.
        grpc_url: of gRPC, ``http://host:50051``; None means port 50051 of the same host.
        api_key: or None where the server asks for none.
        replicas: copies of each row, for clusters; fixed when the collection is created.
        limits: deadlines and batch sizes.

    """

    kind = "weaviate"

    def __init__(
        self,
        url: str,
        grpc_url: str | None = None,
        api_key: str | None = None,
        *,
        replicas: int = 1,
        limits: Limits | None = None,
    ) -> None:
        self._http = address(url, 8080)
        self._grpc = address(grpc_url, 50051) if grpc_url else Address(self._http.host, 50051, self._http.secure)
        self._told = Sentences(self._http, self._grpc)
        self._key = api_key
        self._replicas = replicas
        self._limits = limits or Limits()
        self._client: Any = None
        self._collection: Any = None
        self._dimensions = 0
        # On a partial failure the client logs whole objects, texts and vectors with them; we count errors ourselves.
        logging.getLogger("weaviate-client").setLevel(logging.CRITICAL + 1)

    # ── Opening and closing ──────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, index: str, dimensions: int) -> None:
        """Open the index's collection, creating it with our schema where it is missing.

        Raises:
            StoreUnavailable: nothing answers at the addresses.
            StoreMisconfigured: the key is refused, or the collection there is not of our schema.
            StoreReadOnly: the key may not create the collection.

        """
        name = collection_name(index)
        async with self._bounded(self._limits.open_s):
            client = await self._connected()
            if not await client.collections.exists(name):
                await self._create(client, name, dimensions)
            collection = client.collections.use(name)
            _check_schema(index, await collection.config.get(), dimensions)
            await collection.query.fetch_objects(limit=1, return_properties=[])  # the gRPC side answers, too
            self._collection, self._dimensions = collection, dimensions

    async def _create(self, client: Any, name: str, dimensions: int) -> None:  # noqa: ANN401 - generic in the client
        try:
            await client.collections.create(
                name,
                description=_description(dimensions),
                properties=_properties(),
                inverted_index_config=Configure.inverted_index(
                    bm25_k1=_K1, bm25_b=_B, stopwords_preset=StopwordsPreset.NONE
                ),
                vector_config=Configure.Vectors.self_provided(
                    quantizer=Configure.VectorIndex.Quantizer.rq(bits=8),
                    vector_index_config=Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE),
                ),
                replication_config=Configure.replication(factor=self._replicas),
            )
        except InsufficientPermissionsError:
            raise
        except UnexpectedStatusCodeError:
            if not await client.collections.exists(name):  # else another process was quicker
                raise

    async def _connected(self) -> Any:  # noqa: ANN401 - generic in the client
        if self._client is not None:
            return self._client
        client = weaviate.use_async_with_custom(
            http_host=self._http.host,
            http_port=self._http.port,
            http_secure=self._http.secure,
            grpc_host=self._grpc.host,
            grpc_port=self._grpc.port,
            grpc_secure=self._grpc.secure,
            auth_credentials=Auth.api_key(self._key) if self._key else None,
            additional_config=AdditionalConfig(timeout=Timeout(init=5, query=60, insert=120)),
            skip_init_checks=True,  # they ask the Python package index for the newest client
        )
        try:
            await client.connect()
        except BaseException:
            await client.close()
            raise
        self._client = client
        return client

    async def close(self) -> None:
        """Close the connections."""
        client, self._client, self._collection = self._client, None, None
        if client is not None:
            await client.close()

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        """Insert or replace rows, in bounded batches; a batch may be half there when it fails, and can be sent again.

        Raises:
            StoreMisconfigured: a vector is of another length or not finite.
            StoreReadOnly: the server or the key takes no writes.
            StoreError: the collection is gone, or the server refused some rows.

        """
        self._opened()
        check_rows(rows, self._dimensions)
        for batch in slices(newest(rows), self._limits.batch_rows):
            async with self._bounded(self._limits.write_s):
                await self._check_there()
                result = await self._opened().data.insert_many([_object(row) for row in batch])
                if result.has_errors or len(result.uuids) != len(batch):
                    raise self._refused(len(batch) - len(result.uuids), [e.message for e in result.errors.values()])

    async def _check_there(self) -> None:
        """Refuse to write into a collection that is gone: the server would make one of its own, without our schema."""
        if not await self._opened().exists():
            raise self._told.gone()

    def _refused(self, count: int, messages: Sequence[str]) -> StoreError:
        return self._told.read_only() if any(map(says_read_only, messages)) else self._told.refused(count)

    async def delete(self, ids: Collection[str]) -> None:
        """Delete rows by id; the server may take several turns, and a turn that deletes nothing is an error."""
        for some in slices(sorted(set(ids)), 1000):
            where = Filter.by_id().contains_any([object_id(id_) for id_ in some])
            while True:
                async with self._bounded(self._limits.write_s):
                    result = await self._opened().data.delete_many(where=where)
                if result.matches == result.successful:
                    break
                if not result.successful:
                    raise self._told.read_only()

    async def ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids in batches, in the order of the objects' ids; rows written meanwhile may be missed."""
        after: uuid.UUID | None = None
        while True:
            async with self._bounded(self._limits.read_s):
                page = await self._opened().query.fetch_objects(limit=1000, after=after, return_properties=["chunk_id"])
            if not page.objects:
                return
            yield [found.properties["chunk_id"] for found in page.objects]
            after = page.objects[-1].uuid

    async def count(self) -> int:
        """Count the rows."""
        async with self._bounded(self._limits.read_s):
            return int((await self._opened().aggregate.over_all(total_count=True)).total_count)

    async def rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        """Return rows by id."""
        found: list[StoredChunk] = []
        for some in slices(sorted(set(ids)), 200):
            async with self._bounded(self._limits.read_s):
                page = await self._opened().query.fetch_objects(
                    filters=Filter.by_id().contains_any([object_id(id_) for id_ in some]),
                    limit=len(some),
                    include_vector=True,
                    return_properties=[*RETURNED, "terms"],
                )
            found += [
                StoredChunk(
                    chunk_of(one.properties),
                    np.asarray(one.vector["default"], dtype=np.float32),
                    one.properties["terms"] or "",
                )
                for one in page.objects
            ]
        return found

    # ── Search ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def candidates(
        self,
        vector: Vector,
        terms: str,
        *,
        pool: int,
        scope: Scope,
    ) -> Sequence[Candidate]:
        """Run both legs at once behind one filter; see ``Store.candidates``."""
        if not scope.sources:
            return ()
        where = Filter.all_of(
            [
                Filter.by_property("source").contains_any([exact(source) for source in sorted(scope.sources)]),
                Filter.by_property("readers").contains_any([exact(reader) for reader in audience(scope.readers)]),
            ]
        )
        async with self._bounded(self._limits.read_s):
            query = self._opened().query
            lexical, dense = await both(_lexical(query, terms, vector, pool, where), _dense(query, vector, pool, where))
        return union(lexical, dense)

    # ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def indexes(self) -> Sequence[str]:
        """Name our collections on the server."""
        async with self._bounded(self._limits.read_s):
            client = await self._connected()
            names = [index_name(name) for name in await client.collections.list_all(simple=True)]
        return sorted(name for name in names if name.startswith(INDEX_PREFIX))

    async def drop(self, index: str) -> None:
        """Drop a collection."""
        async with self._bounded(self._limits.write_s):
            await (await self._connected()).collections.delete(collection_name(index))

    async def maintain(self) -> None:
        """Do nothing: the server compacts and indexes by itself."""

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _opened(self) -> Any:  # noqa: ANN401 - generic in the client
        if self._collection is None:
            raise StoreError("The connection to Weaviate is not open: start Kvasir again.")
        return self._collection

    @asynccontextmanager
    async def _bounded(self, seconds: float) -> AsyncIterator[None]:
        """Bound a block and turn what the client raises into our errors."""
        late = self._told.late(seconds)
        try:
            async with deadline(seconds, late):
                yield
        except WeaviateBaseError as error:
            raise self._ours(error, late) from error

    def _ours(self, error: WeaviateBaseError, late: str) -> StoreError:
        text = str(error)
        if isinstance(error, _UNREACHABLE):
            return self._told.unreachable()
        if "Deadline Exceeded" in text or "UNAVAILABLE" in text:
            return StoreUnavailable(late)
        if isinstance(error, InsufficientPermissionsError) or says_read_only(text):
            return self._told.read_only()
        if _says_unknown_key(error):
            return self._told.wrong_key()
        if "could not find class" in text:
            return self._told.gone()
        return self._told.other(type(error).__name__)


# ── Schema ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _description(dimensions: int) -> str:
    return f"Passages of Kvasir (schema {_SCHEMA}, {dimensions} dimensions)"


def _check_schema(index: str, config: Any, dimensions: int) -> None:  # noqa: ANN401 - the client's own class
    """Refuse a collection that somebody else, or the server's automatic schema, has made or changed."""
    wanted = {p.name: (p.dataType, p.tokenization) for p in _properties() if p.tokenization}
    held = {p.name: (p.data_type, p.tokenization) for p in config.properties}
    right = (
        config.description == _description(dimensions)
        and all(held.get(name) == kind for name, kind in wanted.items())
        and config.inverted_index_config.stopwords.preset == StopwordsPreset.NONE
    )
    if not right:
        raise StoreMisconfigured(
            f"The Weaviate collection {collection_name(index)} is not as Kvasir makes it for {dimensions} dimensions: "
            "delete it (or point WEAVIATE_URL elsewhere), then run `kvasir sync` to build it again."
        )


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _object(row: StoredChunk) -> DataObject[Any, None]:
    return DataObject(properties=properties(row), uuid=object_id(row.chunk.id), vector=row.vector.tolist())


async def _lexical(query: Any, terms: str, vector: Vector, pool: int, where: Any) -> list[Found]:  # noqa: ANN401
    if not terms.strip():
        return []
    answer = await query.bm25(
        terms,
        query_properties=["terms"],
        limit=pool,
        filters=where,
        include_vector=True,
        return_properties=list(RETURNED),
        return_metadata=MetadataQuery(score=True),
    )
    # The server leaves out the formula's constant factor; with it both stores score alike.
    return [_found(found, vector, (_K1 + 1) * (found.metadata.score or 0.0)) for found in answer.objects]


async def _dense(query: Any, vector: Vector, pool: int, where: Any) -> list[Found]:  # noqa: ANN401
    answer = await query.near_vector(
        vector.tolist(), limit=pool, filters=where, include_vector=True, return_properties=list(RETURNED)
    )
    return [_found(found, vector) for found in answer.objects]


def _found(found: Any, vector: Vector, bm25: float = 0.0) -> Found:  # noqa: ANN401 - generic in the client
    # From the full vector that is kept with the row: the index's own distance is of the rounded one.
    cosine = float(np.asarray(found.vector["default"], dtype=np.float32) @ vector)
    return Found(chunk_of(found.properties), cosine, bm25)


def _says_unknown_key(error: WeaviateBaseError) -> bool:
    refused = isinstance(error, UnexpectedStatusCodeError) and error.status_code == HTTPStatus.UNAUTHORIZED
    return refused or "unauthenticated" in str(error).lower()
