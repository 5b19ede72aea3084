"""Store each index in one Weaviate collection, on one or more nodes, searched by two concurrent queries.

If a server refuses the key, the schema or the placement, ``open`` fails.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from knowledge.interfaces import Candidate, Scope, StoredChunk, Vector
from knowledge.settings import KnowledgeSettings
from knowledge.stores.common import (
    INDEX_PREFIX,
    check_rows,
    keep_last_rows,
    merge_legs,
    run_both,
    slice_values,
)
from knowledge.stores.server_store import ServerStore
from knowledge.stores.weaviate.address import make_collection_name, parse_index_name, parse_node_addresses
from knowledge.stores.weaviate.errors import WeaviateErrors
from knowledge.stores.weaviate.nodes import NodeConnection, WeaviateLimits, WeaviateNodes
from knowledge.stores.weaviate.placement import Consistency, Placement
from knowledge.stores.weaviate.rows import make_object_id, make_properties
from knowledge.stores.weaviate.schema import CollectionSpec, has_tenant, lacks_tenant, prepare_collection
from knowledge.stores.weaviate.search import (
    SearchCall,
    SearchTarget,
    fetch_by_ids,
    search_dense,
    search_lexical,
)

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    from weaviate import WeaviateAsyncClient
    from weaviate.classes.config import ConsistencyLevel
    from weaviate.classes.data import DataObject
    from weaviate.classes.query import Filter
    from weaviate.exceptions import InsufficientPermissionsError

T = TypeVar("T")


class WeaviateStore(ServerStore[CollectionSpec]):
    """``Store`` on a Weaviate server or cluster, 1.36 or newer.

    Args:
        url: the REST address, ``http://host:8080``, or one for each node, separated by commas.
        grpc_url: the gRPC addresses, ``http://host:50051``, in the same order. None means port 50051.
        api_key: None if the server needs none.
        placement: copies, shards, tenant, namespace and consistency.
        limits: deadlines and batch sizes.

    """

    def __init__(
        self,
        url: str,
        grpc_url: str | None = None,
        api_key: str | None = None,
        *,
        placement: Placement | None = None,
        limits: WeaviateLimits | None = None,
        ca_file: Path | None = None,
    ) -> None:
        addresses = parse_node_addresses(url, grpc_url)
        self._placement = placement or Placement()
        self._limits = limits or WeaviateLimits()
        self._errors = WeaviateErrors(addresses)
        self._nodes = WeaviateNodes(addresses, api_key, self._errors, self._limits, ca_file)
        super().__init__("Weaviate", self._errors.make_timeout_text)

    # ── Opening and closing ──────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, index: str, dimensions: int) -> None:
        """Open the index's collection, and create it if missing. If no node answers, do it later.

        Raises:
            StoreMisconfigured: the key is refused or lacks a permission, or the collection's schema or
                placement differs.
            StoreReadOnly: the key may not create the collection.

        """
        spec = CollectionSpec(self._make_name(index), dimensions, self._placement)
        await self._open_index(spec, self._limits.open_s)

    async def close(self) -> None:
        """Close the connections."""
        self._index = None
        await self._nodes.close()

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        """Insert or replace rows in batches. A failed batch may be half written, and can be sent again.

        Raises:
            StoreMisconfigured: a vector has another length or is not finite. StoreReadOnly: the server or the key
            accepts no writes. StoreError: the collection is gone, or the server refused some rows.

        """
        check_rows(rows, self._get_index().dimensions)
        for batch in slice_values(keep_last_rows(rows), self._limits.batch_rows):
            objects = [
                DataObject(
                    properties=make_properties(row), uuid=make_object_id(row.chunk.id), vector=row.vector.tolist()
                )
                for row in batch
            ]

            async def insert_objects(collection: Any, objects: Sequence[DataObject[Any, None]] = objects) -> None:  # noqa: ANN401
                # If the collection is gone, the server would create one with its own schema.
                if not await collection.exists():
                    raise self._errors.make_gone()
                result = await collection.data.insert_many(objects)
                if result.has_errors or len(result.uuids) != len(objects):
                    messages = [error.message for error in result.errors.values()]
                    raise self._errors.translate_rows(len(objects) - len(result.uuids), messages)

            await self._write_collection(insert_objects)

    async def delete(self, ids: Collection[str]) -> None:
        """Delete rows by id, in as many calls as the server needs. A call that deletes nothing is an error."""
        for some in slice_values(sorted(set(ids)), 1000):
            by_ids = Filter.by_id().contains_any([make_object_id(id_) for id_ in some])

            async def delete_objects(collection: Any, by_ids: Any = by_ids) -> None:  # noqa: ANN401
                while True:
                    result = await collection.data.delete_many(where=by_ids)
                    if result.matches == result.successful:
                        return
                    if not result.successful:
                        # The reply does not say why, and fails if asked for details. The state of the shards shows it.
                        raise (
                            self._errors.make_unwell()
                            if await _accepts_writes(collection)
                            else self._errors.make_read_only()
                        )

            await self._write_collection(delete_objects)

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids in batches, ordered by object id. Rows written meanwhile may be missed."""
        after: uuid.UUID | None = None
        while True:

            async def fetch_ids(collection: Any, after: uuid.UUID | None = after) -> Any:  # noqa: ANN401
                return await collection.query.fetch_objects(limit=1000, after=after, return_properties=["chunk_id"])

            page = await self._read_collection(fetch_ids)
            if not page.objects:
                return
            yield [item.properties["chunk_id"] for item in page.objects]
            after = page.objects[-1].uuid

    async def count(self) -> int:
        """Return the number of rows."""

        async def count_objects(collection: Any) -> int:  # noqa: ANN401
            return int((await collection.aggregate.over_all(total_count=True)).total_count)

        return await self._read_collection(count_objects)

    async def check(self, *, heal: bool = False) -> None:  # noqa: ARG002 - its server heals it
        """Return if the collection exists, and our tenant in it.

        Raises:
            IndexLost: it was deleted.

        """
        await self._wait_until_ready(self._limits.read_s)
        await self._nodes.read(self._find_collection)

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        """Return rows by id."""
        rows: list[StoredChunk] = []
        for some in slice_values(sorted(set(ids)), 200):
            rows += await self._search_collection(partial(fetch_by_ids, ids=some))
        return rows

    # ── Search ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def find_candidates(
        self, vector: Vector | None, terms: str, *, pool: int, scope: Scope
    ) -> Sequence[Candidate]:
        """Run both legs concurrently with one filter; see ``Store.find_candidates``."""
        if scope.is_empty:
            return ()
        legs = await self._search_collection(
            lambda search, place: run_both(
                search_lexical(search, place, terms, vector, pool, scope),
                search_dense(search, place, vector, pool, scope),
            )
        )
        return merge_legs(*legs)

    # ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_indexes(self) -> Sequence[str]:
        """Return our collections on the server; with a tenant, those that have it."""

        async def list_names(link: NodeConnection) -> list[str]:
            client = link.client
            names = await client.collections.list_all(simple=True)
            indexes = {name: parse_index_name(name, self._placement.namespace) for name in names}
            return [index for name, index in indexes.items() if index and await self._holds_index(client, name, index)]

        return sorted(await self._nodes.read(list_names))

    async def _holds_index(self, client: WeaviateAsyncClient, name: str, index: str) -> bool:
        tenant = self._placement.tenant
        if not index.startswith(INDEX_PREFIX):
            return False
        return tenant is None or await has_tenant(client.collections.use(name), tenant)

    async def drop_index(self, index: str) -> None:
        """Drop a collection. If it is divided by tenants, delete only our tenant."""
        name, tenant = self._make_name(index), self._placement.tenant

        async def remove_index(link: NodeConnection) -> None:
            collections = link.client.collections
            if tenant is None:
                await collections.delete(name)
            elif await collections.exists(name):
                await collections.use(name).tenants.remove(tenant)

        await self._nodes.change_store(remove_index, self._limits.write_s)

    async def maintain(self) -> None:
        """Do nothing, because the server compacts and indexes by itself."""

    async def scrub(self) -> None:
        """Do nothing, because the files are the server's."""

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make_name(self, index: str) -> str:
        return make_collection_name(index, self._placement.namespace)

    async def _prepare_index(self, index: CollectionSpec, seconds: float, *, creates: bool) -> None:
        async def make_collection(link: NodeConnection) -> None:
            await prepare_collection(link.client, index)
            await fetch_by_ids(link.search, self._make_target(), ["any id, to check gRPC"])

        if not creates:
            await self._nodes.read(self._find_collection)
        await self._nodes.change_store(make_collection, seconds)

    async def _find_collection(self, link: NodeConnection) -> None:
        """Raise ``IndexLost`` if a node does not know the collection, or our tenant in it."""
        name, tenant, collections = self._get_index().name, self._placement.tenant, link.client.collections
        is_there = await collections.exists(name)
        if not is_there or (tenant is not None and await lacks_tenant(collections.use(name), tenant)):
            raise self._errors.make_gone()

    async def _read_collection(self, what: Callable[[Any], Awaitable[T]]) -> T:
        await self._wait_until_ready(self._limits.read_s)
        level = self._placement.read_level
        return await self._nodes.read(lambda link: what(self._open_collection(link.client, level)))

    async def _search_collection(self, what: Callable[[SearchCall, SearchTarget], Awaitable[T]]) -> T:
        await self._wait_until_ready(self._limits.read_s)
        place = self._make_target()
        return await self._nodes.read(lambda link: what(link.search, place))

    def _make_target(self) -> SearchTarget:
        return SearchTarget(self._get_index().name, self._placement.tenant, self._placement.read_level)

    async def _write_collection(self, what: Callable[[Any], Awaitable[None]]) -> None:
        await self._wait_until_ready(self._limits.open_s)
        level = self._placement.write_level
        await self._nodes.change_store(
            lambda link: what(self._open_collection(link.client, level)), self._limits.write_s, patient=True
        )

    def _open_collection(self, client: WeaviateAsyncClient, level: Consistency) -> Any:  # noqa: ANN401 - generic in the client
        collection = client.collections.use(self._get_index().name).with_consistency_level(ConsistencyLevel[level])
        return collection if self._placement.tenant is None else collection.with_tenant(self._placement.tenant)


def make_store(settings: KnowledgeSettings) -> WeaviateStore:
    """Return the store that the variables describe."""
    options = {name.removeprefix("WEAVIATE_").lower(): value for name, value in settings.store_variables.items()}
    options |= {"namespace": settings.namespace} if settings.namespace else {}
    server = options.pop("url"), options.pop("grpc_url", None), options.pop("api_key", None)
    return WeaviateStore(*server, placement=Placement(**options), ca_file=settings.web.ca_file)


async def _accepts_writes(collection: Any) -> bool:  # noqa: ANN401 - generic in the client
    """Return whether no shard is read-only. A key that may not ask counts as one that may not write."""
    try:
        shards = await collection.config.get_shards()
    except InsufficientPermissionsError:
        return False
    return all("READONLY" not in {shard.status, *(shard.per_node_status or {}).values()} for shard in shards)
