"""Weaviate: a server that is down, dies, returns, refuses, or has another program's collection."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import weaviate as client_library
from weaviate.classes.config import Reconfigure, VectorFilterStrategy
from weaviate.classes.init import Auth

from knowledge.errors import IndexLost, StoreError, StoreMisconfigured, StoreReadOnly, StoreUnavailable
from knowledge.interfaces import Scope
from knowledge.stores.weaviate.address import make_collection_name, parse_address, parse_index_name
from knowledge.stores.weaviate.nodes import WeaviateLimits
from knowledge.stores.weaviate.store import WeaviateStore
from tests.services import WeaviateServer, free_ports, weaviate_server
from tests.stores.relays import terminate_tls
from tests.stores.rows import DIMENSIONS, row, some_unit, unit
from tests.waiting import WAIT_S
from tests.web.http.certificates import Authority

INDEX = "kvasir_0a1b2c3d"
QUICK = WeaviateLimits(open_s=2, read_s=1, write_s=1)
UNHURRIED = WeaviateLimits(open_s=10, read_s=5, write_s=3)
"""For a server that answers as well: on a busy machine it may take more than a second."""


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateServer]:
    """Run a server of this file's own, since it is killed."""
    with weaviate_server(tmp_path_factory.mktemp("mortal")) as server:
        yield server


@pytest.fixture
async def opened(weaviate: WeaviateServer) -> AsyncIterator[WeaviateStore]:
    store = WeaviateStore(weaviate.url, weaviate.grpc_url, weaviate.api_key)
    await store.open(INDEX, DIMENSIONS)
    yield store
    await store.drop_index(INDEX)
    await store.close()


@pytest.fixture
async def client(weaviate: WeaviateServer) -> AsyncIterator[client_library.WeaviateAsyncClient]:
    """Connect as an administrator would, past our store."""
    http, grpc = parse_address(weaviate.url, 0), parse_address(weaviate.grpc_url, 0)
    async with client_library.use_async_with_custom(
        http.host, http.port, http_secure=False, grpc_host=grpc.host, grpc_port=grpc.port, grpc_secure=False,
        auth_credentials=Auth.api_key(weaviate.api_key), skip_init_checks=True,
    ) as connected:  # fmt: skip
        yield connected


async def search(store: WeaviateStore, pool: int = 50) -> set[str]:
    found = await store.find_candidates(unit(1), "term", pool=pool, scope=Scope(frozenset({"docs"})))
    return {candidate.chunk.id for candidate in found}


# ── Down ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_that_is_down_is_reported_by_every_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    http, grpc = free_ports(2)
    store = WeaviateStore(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{grpc}", "key", limits=QUICK)
    async with asyncio.timeout(WAIT_S):
        await store.open(INDEX, DIMENSIONS)
        assert f"http://127.0.0.1:{http}" in caplog.text
        for call in (store.count, lambda: search(store), lambda: store.write([row("a")]), lambda: store.delete(["a"])):
            with pytest.raises(StoreUnavailable, match=f"http://127.0.0.1:{http}.*WEAVIATE_URL"):
                await call()
    await store.close()


@pytest.mark.slow
async def test_a_silent_server_is_reported_in_time() -> None:
    silent = await asyncio.start_server(lambda _reader, _writer: asyncio.sleep(600), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    store = WeaviateStore(f"http://127.0.0.1:{port}", limits=QUICK)
    async with asyncio.timeout(WAIT_S):
        await store.open(INDEX, DIMENSIONS)
        with pytest.raises(StoreUnavailable, match="WEAVIATE_URL"):
            await search(store)
    await store.close()
    silent.close()


@pytest.mark.slow
async def test_a_server_that_starts_later_is_used(tmp_path: Path) -> None:
    """Every call reports the error until it is corrected, also if the first one is a refusal."""
    with weaviate_server(tmp_path) as server:
        server.kill()
        store = WeaviateStore(server.url, server.grpc_url, server.api_key, limits=UNHURRIED)
        stranger = WeaviateStore(server.url, server.grpc_url, "not-a-key-of-theirs", limits=UNHURRIED)
        for one in (store, stranger):
            await one.open(INDEX, DIMENSIONS)
        with pytest.raises(StoreUnavailable):
            await search(store)
        await asyncio.to_thread(server.start)
        with pytest.raises(IndexLost):
            await search(store)
        await store.open(INDEX, DIMENSIONS)
        assert await search(store) == set()
        await asyncio.gather(store.write([row("a")]), store.write([row("b")]))
        assert await search(store) == {"a", "b"}
        for _ in range(2):
            with pytest.raises(StoreMisconfigured, match="WEAVIATE_API_KEY"):
                await search(stranger)
        for one in (store, stranger):
            await one.close()


@pytest.mark.slow
async def test_a_killed_server_is_used_again_after_its_restart(mortal: WeaviateServer) -> None:
    store = WeaviateStore(mortal.url, mortal.grpc_url, mortal.api_key, limits=UNHURRIED)
    await store.open(INDEX, DIMENSIONS)
    await store.write([row("a")])
    mortal.kill()
    calls = (
        lambda: store.find_candidates(unit(1), "term", pool=3, scope=Scope(frozenset({"docs"}))),
        lambda: store.write([row("b")]),
        lambda: store.delete(["a"]),
        store.count,
        store.list_indexes,
        lambda: anext(aiter(store.list_ids())),
    )
    for call in calls:
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(StoreUnavailable, match=r"WEAVIATE_URL"):
                await call()
    await asyncio.to_thread(mortal.start)
    async with asyncio.timeout(240):
        while True:
            try:
                await store.write([row("b")])
                found = await store.find_candidates(unit(1), "term", pool=3, scope=Scope(frozenset({"docs"})))
                break
            except StoreUnavailable:  # each of the two channels waits before it connects again
                await asyncio.sleep(0.1)
    assert {candidate.chunk.id for candidate in found} == {"a", "b"}
    await store.close()


@pytest.mark.slow
async def test_an_unreachable_grpc_interface_is_reported(weaviate: WeaviateServer) -> None:
    store = WeaviateStore(weaviate.url, f"127.0.0.1:{free_ports(1)[0]}", weaviate.api_key, limits=QUICK)
    await store.open(INDEX, DIMENSIONS)
    with pytest.raises(StoreUnavailable, match="WEAVIATE_GRPC_URL"):
        await search(store)
    await store.drop_index(INDEX)
    await store.close()


# ── Refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("key", ["not-a-key-of-theirs", None])
async def test_a_wrong_key_is_reported_without_the_key(weaviate: WeaviateServer, key: str | None) -> None:
    store = WeaviateStore(weaviate.url, weaviate.grpc_url, key)
    with pytest.raises(StoreMisconfigured, match="WEAVIATE_API_KEY") as caught:
        await store.open(INDEX, DIMENSIONS)
    assert "not-a-key-of-theirs" not in str(caught.value)
    await store.close()


@pytest.mark.slow
async def test_a_read_only_key_reads_and_cannot_write(opened: WeaviateStore, weaviate: WeaviateServer) -> None:
    await opened.write([row("a")])
    reader = WeaviateStore(weaviate.url, weaviate.grpc_url, weaviate.reader_key)
    await reader.open(INDEX, DIMENSIONS)
    assert len(await reader.find_candidates(unit(1), "term", pool=3, scope=Scope(frozenset({"docs"})))) == 1
    for call in (lambda: reader.write([row("b")]), lambda: reader.delete(["a"]), lambda: reader.drop_index(INDEX)):
        with pytest.raises(StoreReadOnly, match="WEAVIATE_API_KEY"):
            await call()
    with pytest.raises(StoreReadOnly, match="WEAVIATE_API_KEY"):
        await reader.open("kvasir_22222222", DIMENSIONS)
    assert await opened.count() == 1
    await reader.close()


@pytest.mark.slow
async def test_a_read_only_shard_is_reported(opened: WeaviateStore, client: client_library.WeaviateAsyncClient) -> None:
    await opened.write([row("a")])
    config = client.collections.use(make_collection_name(INDEX)).config
    await config.update_shards(status="READONLY")
    with pytest.raises(StoreReadOnly, match="accepts no writes"):
        await opened.write([row("b")])
    with pytest.raises(StoreReadOnly, match="accepts no writes"):
        await opened.delete(["a"])
    await config.update_shards(status="READY")
    await opened.delete(["a"])
    assert await opened.count() == 0


@pytest.mark.slow
@pytest.mark.usefixtures("opened")
async def test_an_older_collection_gets_the_new_search_settings(
    weaviate: WeaviateServer, client: client_library.WeaviateAsyncClient
) -> None:
    config: Any = client.collections.use(make_collection_name(INDEX)).config

    async def settings() -> list[object]:
        ((_, vectors),) = (await config.get()).vector_config.items()
        index = vectors.vector_index_config
        return [index.filter_strategy, index.flat_search_cutoff, index.dynamic_ef_factor]

    made = await settings()
    before = Reconfigure.VectorIndex.hnsw(
        filter_strategy=VectorFilterStrategy.ACORN, flat_search_cutoff=40_000, dynamic_ef_factor=8
    )
    await config.update(vector_config=Reconfigure.Vectors.update(vector_index_config=before))
    for key, expected in ((weaviate.reader_key, [VectorFilterStrategy.ACORN, 40_000, 8]), (weaviate.api_key, made)):
        store = WeaviateStore(weaviate.url, weaviate.grpc_url, key)
        await store.open(INDEX, DIMENSIONS)
        await store.close()
        assert await settings() == expected


@pytest.mark.slow
async def test_a_collection_of_another_schema_is_refused(
    client: client_library.WeaviateAsyncClient, weaviate: WeaviateServer
) -> None:
    await client.collections.create("Kvasir_33333333")
    store = WeaviateStore(weaviate.url, weaviate.grpc_url, weaviate.api_key)
    with pytest.raises(StoreMisconfigured, match="Kvasir_33333333"):
        await store.open("kvasir_33333333", DIMENSIONS)
    await store.drop_index("kvasir_33333333")
    await store.close()


@pytest.mark.slow
async def test_other_collections_of_the_server_are_not_ours(
    opened: WeaviateStore, client: client_library.WeaviateAsyncClient
) -> None:
    await client.collections.create("Invoices")
    assert await opened.list_indexes() == [INDEX]
    await client.collections.delete("Invoices")


@pytest.mark.slow
async def test_a_large_batch_is_split_and_every_row_counted(weaviate: WeaviateServer) -> None:
    store = WeaviateStore(weaviate.url, weaviate.grpc_url, weaviate.api_key, limits=WeaviateLimits(batch_rows=7))
    await store.open("kvasir_44444444", DIMENSIONS)
    await store.write([row(f"r{n}", vector=some_unit(n)) for n in range(30)])
    assert await store.count() == 30
    await store.drop_index("kvasir_44444444")
    await store.close()


@pytest.mark.slow
async def test_no_text_reaches_a_log_when_rows_are_refused(
    opened: WeaviateStore, client: client_library.WeaviateAsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The client logs whole objects on a failure; a vector index of other dimensions makes one."""
    caplog.set_level(logging.DEBUG)
    await opened.write([row("a", text="known words")])
    with pytest.raises(StoreError) as caught:
        await opened.write([row(f"r{n}", text="secret words", vector=unit(1, dimensions=3)) for n in range(3)])
    assert "secret words" not in caplog.text + str(caught.value)
    assert await client.collections.exists(make_collection_name(INDEX))


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8080", "http://localhost:8080"),
        ("localhost:9", "http://localhost:9"),
        ("https://user:secret@db.example", "https://db.example:443"),
        ("grpcs://db.example:50", "https://db.example:50"),
        ("http://[::1]", "http://[::1]:8080"),
    ],
)
def test_addresses_are_parsed(url: str, address: str) -> None:
    assert str(parse_address(url, 8080)) == address


@pytest.mark.parametrize("url", ["", "http://", "ftp://host", "http://host:port"])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(StoreMisconfigured, match="WEAVIATE_URL"):
        parse_address(url, 8080)


def test_collections_are_named_as_the_server_wants() -> None:
    assert make_collection_name("kvasir_0a1b2c3d") == "Kvasir_0a1b2c3d"
    assert parse_index_name("Kvasir_0a1b2c3d") == "kvasir_0a1b2c3d"
    for bad in ("kvasir-1", "1kvasir", "_kvasir", "知识", ""):
        with pytest.raises(StoreMisconfigured):
            make_collection_name(bad)


@pytest.mark.slow
def test_importing_the_store_leaves_the_warning_filters_alone() -> None:
    code = (
        "import knowledge.stores.weaviate.store, warnings\n"
        "print([f for f in warnings.filters if f[0] == 'default' and f[1] is None and f[2] is Warning])"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120, cwd=Path(__file__).parents[3])
    assert done.stdout.strip() == "[]"


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_a_companys_own_authority_is_trusted_by_rest_and_grpc(weaviate: WeaviateServer, tmp_path: Path) -> None:
    """One file for both interfaces, in addition to the public authorities. Without it neither connects."""
    authority = Authority(tmp_path)
    http1, http2 = authority.server("localhost"), authority.server("localhost")
    http2.set_alpn_protocols(["h2"])
    async with terminate_tls(http1, weaviate.url) as rest, terminate_tls(http2, weaviate.grpc_url) as grpc:
        store = WeaviateStore(rest, grpc, weaviate.api_key, ca_file=authority.ca_file)
        await store.open("kvasir_tls", DIMENSIONS)
        await store.write([row("a")])
        assert await search(store) == {row("a").chunk.id}
        await store.drop_index("kvasir_tls")
        await store.close()
        stranger = WeaviateStore(rest, grpc, weaviate.api_key, limits=QUICK)
        await stranger.open("kvasir_tls", DIMENSIONS)
        with pytest.raises(StoreUnavailable):
            await search(stranger)
        await stranger.close()
