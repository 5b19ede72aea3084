"""The placement of rows in Weaviate: namespaces, tenants, copies and shards. A different placement is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import weaviate as client_library
from weaviate.classes.config import Configure, DataType, Property
from weaviate.classes.init import Auth

from knowledge.errors import StoreError, StoreMisconfigured, StoreUnavailable
from knowledge.interfaces import EVERYONE, Scope, make_class_key
from knowledge.stores.weaviate.address import (
    make_collection_name,
    parse_address,
    parse_index_name,
    parse_node_addresses,
)
from knowledge.stores.weaviate.nodes import WeaviateLimits
from knowledge.stores.weaviate.placement import Placement
from knowledge.stores.weaviate.schema import CollectionSpec, list_schema_properties
from knowledge.stores.weaviate.store import WeaviateStore
from tests.services import WeaviateServer, free_ports
from tests.stores.rows import DIMENSIONS, row, unit
from tests.waiting import WAIT_S

INDEX = "kvasir_5e5e5e5e"


@pytest.fixture
async def admin(weaviate: WeaviateServer) -> AsyncIterator[client_library.WeaviateAsyncClient]:
    http, grpc = parse_address(weaviate.url, 0), parse_address(weaviate.grpc_url, 0)
    async with client_library.use_async_with_custom(
        http.host, http.port, http_secure=False, grpc_host=grpc.host, grpc_port=grpc.port, grpc_secure=False,
        auth_credentials=Auth.api_key(weaviate.api_key), skip_init_checks=True,
    ) as admin:  # fmt: skip
        await delete_collections(admin)
        yield admin
        await delete_collections(admin)


async def delete_collections(admin: client_library.WeaviateAsyncClient) -> None:
    """Delete those of this file; other tests share the server."""
    for name in await admin.collections.list_all():
        if name.endswith(INDEX.removeprefix("kvasir")):
            await admin.collections.delete(name)


def store_at(server: WeaviateServer, placement: Placement) -> WeaviateStore:
    limits = WeaviateLimits(open_s=8, write_s=4)
    return WeaviateStore(server.url, server.grpc_url, server.api_key, placement=placement, limits=limits)


async def found(store: WeaviateStore) -> set[str]:
    candidates = await store.find_candidates(unit(1), "term", pool=9, scope=Scope(frozenset({"docs"})))
    return {one.chunk.id for one in candidates}


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("namespace", ["", "acme", "acme2"])
def test_a_name_is_parsed_only_in_its_own_namespace(namespace: str) -> None:
    name = make_collection_name(INDEX, namespace)
    others = {"", "acme", "acme2", "acm"} - {namespace}
    assert parse_index_name(name, namespace) == INDEX
    assert [parse_index_name(name, other) for other in others] == [None] * len(others)


@pytest.mark.parametrize("namespace", ["Acme", "a_b", "a-b", "ä", "a b"])
def test_an_ambiguous_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(StoreMisconfigured, match="KVASIR_NAMESPACE"):
        make_collection_name(INDEX, namespace)


def test_nodes_are_paired_in_order() -> None:
    nodes = parse_node_addresses("http://a:1, https://b", "grpc://a:2,grpcs://b:3")
    assert [str(node) for node in nodes] == [
        "http://a:1 (gRPC at http://a:2)",
        "https://b:443 (gRPC at https://b:3)",
    ]
    assert [str(node.grpc) for node in parse_node_addresses("http://a:1,http://b:1")] == [
        "http://a:50051",
        "http://b:50051",
    ]


@pytest.mark.parametrize(
    ("urls", "grpc_urls", "complaint"),
    [
        ("http://a,http://b", "http://a:1", "names 2 nodes and WEAVIATE_GRPC_URL 1"),
        ("http://a,http://a", None, "WEAVIATE_URL names a node twice"),
        ("http://a:1,http://a:2", None, "WEAVIATE_GRPC_URL names a node twice"),
        ("http://a,", None, "WEAVIATE_URL"),
    ],
)
def test_invalid_lists_of_nodes_are_reported(urls: str, grpc_urls: str | None, complaint: str) -> None:
    with pytest.raises(StoreMisconfigured, match=complaint):
        parse_node_addresses(urls, grpc_urls)


@pytest.mark.slow
async def test_all_nodes_that_are_down_are_named_at_once() -> None:
    ports = free_ports(6)
    urls = ",".join(f"http://127.0.0.1:{port}" for port in ports[:3])
    grpc_urls = ",".join(f"http://127.0.0.1:{port}" for port in ports[3:])
    store = WeaviateStore(urls, grpc_urls, limits=WeaviateLimits(open_s=60, read_s=60))
    async with asyncio.timeout(WAIT_S):
        await store.open(INDEX, DIMENSIONS)
        with pytest.raises(StoreUnavailable) as caught:
            await store.count()
    assert all(f":{port}" in str(caught.value) for port in ports)
    await store.close()


def test_copies_that_must_agree_follow_the_consistency() -> None:
    assert (Placement().read_level, Placement(replicas=3).read_level) == ("ONE", "QUORUM")
    mixed = Placement(replicas=3, read_consistency="ONE", write_consistency="ALL")
    assert (mixed.read_level, mixed.write_level) == ("ONE", "ALL")


# ── On a server ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("kind", ["namespace", "tenant"])
async def test_two_installations_on_one_server_are_separate(weaviate: WeaviateServer, kind: str) -> None:
    ours, theirs = (store_at(weaviate, Placement(**{kind: name})) for name in ("acme", "other"))  # type: ignore[arg-type]
    for store, id_ in ((ours, "a"), (theirs, "b")):
        await store.open(INDEX, DIMENSIONS)
        await store.write([row(id_)])
    assert (await found(ours), await found(theirs)) == ({"a"}, {"b"})
    await ours.delete(["b"])
    assert await ours.list_indexes() == await theirs.list_indexes() == [INDEX]
    await ours.drop_index(INDEX)
    await ours.drop_index(INDEX)
    assert (await ours.list_indexes(), await theirs.list_indexes()) == ([], [INDEX])
    assert await found(theirs) == {"b"}
    with pytest.raises(StoreError, match="is gone"):
        await ours.write([row("c")])
    with pytest.raises(StoreError, match="is gone"):
        await found(ours)
    assert await theirs.count() == 1
    for store in (ours, theirs):
        await store.close()


@pytest.mark.slow
@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize(
    ("made", "placement", "complaint"),
    [
        (Placement(), Placement(tenant="acme"), "is not divided by tenants, but WEAVIATE_TENANT is set"),
        (Placement(tenant="acme"), Placement(), "is divided by tenants, but WEAVIATE_TENANT is not set"),
        (Placement(shards=2), Placement(shards=1), "has 2 shards, but WEAVIATE_SHARDS asks for 1"),
        (Placement(), Placement(replicas=3), "keeps 1 copies of each passage, but WEAVIATE_REPLICAS asks for 3"),
    ],
)
async def test_a_collection_with_another_placement_is_refused(
    weaviate: WeaviateServer, made: Placement, placement: Placement, complaint: str
) -> None:
    owner, other = store_at(weaviate, made), store_at(weaviate, placement)
    await owner.open(INDEX, DIMENSIONS)
    with pytest.raises(StoreMisconfigured, match=complaint) as caught:
        await other.open(INDEX, DIMENSIONS)
    assert "delete the collection" in str(caught.value)
    with pytest.raises(StoreMisconfigured, match=complaint):
        await other.write([row("a")])
    assert await owner.count() == 0
    for store in (owner, other):
        await store.close()


@pytest.mark.slow
@pytest.mark.usefixtures("admin")
async def test_more_copies_than_nodes_name_the_variable(
    weaviate: WeaviateServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_at(weaviate, Placement(replicas=3))
    await store.open(INDEX, DIMENSIONS)
    assert "WEAVIATE_REPLICAS" in caplog.text
    await store.close()


@pytest.mark.slow
async def test_a_missing_property_is_added_in_place(
    weaviate: WeaviateServer, admin: client_library.WeaviateAsyncClient
) -> None:
    """As after an update that adds one; rows that were there before answer as they did."""
    spec = CollectionSpec(make_collection_name(INDEX), DIMENSIONS, Placement())
    ours = store_at(weaviate, Placement())
    await ours.open(INDEX, DIMENSIONS)
    config = await admin.collections.use(spec.name).config.get()
    await admin.collections.delete(spec.name)
    properties = [one for one in list_schema_properties() if one.name not in {"kind", "modified_s", "modified_us"}]
    await admin.collections.create(
        spec.name,
        description=spec.description,
        properties=properties,
        inverted_index_config=Configure.inverted_index(stopwords_preset=config.inverted_index_config.stopwords.preset),
        vector_config=Configure.Vectors.self_provided(),
    )
    collection = admin.collections.use(spec.name)
    old = {"chunk_id": "old", "source": "<docs>", "document": "d", "title": "", "heading": "", "text": "t",
           "audience": f"<{make_class_key(EVERYONE)}>", "terms": "term"}  # fmt: skip
    await collection.data.insert(old, vector=unit(1).tolist())
    stores = [store_at(weaviate, Placement()) for _ in range(2)]
    await asyncio.gather(*(store.open(INDEX, DIMENSIONS) for store in stores))
    await stores[0].write([row("new", kind="pdf")])
    assert await found(stores[1]) == {"old", "new"}
    scope = Scope(frozenset({"docs"}), kinds=frozenset({"pdf"}))
    narrowed = await stores[1].find_candidates(unit(1), "term", pool=9, scope=scope)
    assert [one.chunk.id for one in narrowed] == ["new"]
    for store in (*stores, ours):
        await store.close()


@pytest.mark.slow
async def test_a_different_property_is_refused(
    weaviate: WeaviateServer, admin: client_library.WeaviateAsyncClient
) -> None:
    spec = CollectionSpec(make_collection_name(INDEX), DIMENSIONS, Placement())
    loose = Property(name="source", data_type=DataType.TEXT)  # tokenised by word: "docs" would meet "docs x"
    properties = [loose, *(one for one in list_schema_properties() if one.name != "source")]
    await admin.collections.create(spec.name, description=spec.description, properties=properties)
    store = store_at(weaviate, Placement())
    with pytest.raises(StoreMisconfigured, match=spec.name):
        await store.open(INDEX, DIMENSIONS)
    await store.close()
