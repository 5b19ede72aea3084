"""OpenSearch and Elasticsearch: a server that is down, returns, refuses, is another one, or has a foreign index."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from knowledge.errors import IndexLost, StoreError, StoreMisconfigured, StoreReadOnly, StoreUnavailable
from knowledge.interfaces import Scope
from knowledge.settings import KnowledgeSettings
from knowledge.stores.common import SCHEMA
from knowledge.stores.opensearch.api import Login
from knowledge.stores.opensearch.dialects import ELASTICSEARCH, OPENSEARCH, Dialect
from knowledge.stores.opensearch.errors import ServerErrors
from knowledge.stores.opensearch.store import (
    OpenSearchStore,
    ServerLimits,
    make_index_name,
    parse_index_name,
    parse_version,
)
from knowledge.stores.registry import make_store
from knowledge.web.http.settings import WebSettings
from tests.opensearch import SearchServer, opensearch_server
from tests.services import free_ports
from tests.stores.relays import terminate_tls
from tests.stores.rows import DIMENSIONS, row, some_unit, unit
from tests.waiting import WAIT_S
from tests.web.http.certificates import Authority

INDEX = "kvasir_0a1b2c3d"
QUICK = ServerLimits(open_s=2, read_s=1, write_s=1)
SECRET = "hush-hush-hush"


def make(server: SearchServer, **options: object) -> OpenSearchStore:
    dialect = {one.prefix: one for one in (OPENSEARCH, ELASTICSEARCH)}[server.prefix]
    return OpenSearchStore(dialect, [server.url], Login(dialect), **options)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def opened(store: OpenSearchStore, index: str = INDEX) -> AsyncIterator[OpenSearchStore]:
    await store.open(index, DIMENSIONS)
    try:
        yield store
    finally:
        await store.drop_index(index)
        await store.close()


@pytest.fixture(params=["opensearch", "elasticsearch"])
def server(request: pytest.FixtureRequest) -> SearchServer:
    found: SearchServer = request.getfixturevalue(request.param)
    return found


async def search(store: OpenSearchStore, terms: str = "term") -> dict[str, float]:
    found = await store.find_candidates(unit(1), terms, pool=50, scope=Scope(frozenset({"docs"})))
    return {candidate.chunk.id: candidate.bm25 for candidate in found}


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("index", "namespace", "name"),
    [("kvasir_1a2b", "", "kvasir_1a2b"), ("kvasir_1a2b", "acme", "kvasir_acme_1a2b")],
)
def test_an_index_has_a_name_of_its_namespace(index: str, namespace: str, name: str) -> None:
    assert make_index_name(index, namespace) == name
    assert parse_index_name(name, namespace) == index
    assert parse_index_name(name, "globex") is None
    assert parse_index_name(name, "" if namespace else "acme") is None


@pytest.mark.parametrize("index", ["kvasir", "kvasir_1/../x", "kvasir_*", "kvasir_A", "kvasir_1_2_3", "_all", ""])
def test_a_name_that_is_not_plain_is_refused(index: str) -> None:
    with pytest.raises(StoreMisconfigured, match="small ASCII letters"):
        make_index_name(index)


def test_a_version_begins_with_two_numbers() -> None:
    assert [parse_version(text) for text in ("2.19.1", "9.2.0-SNAPSHOT")] == [(2, 19), (9, 2)]


# ── Logging in ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"API_KEY": SECRET, "USER": "kvasir", "PASSWORD": SECRET}, "OPENSEARCH_API_KEY and OPENSEARCH_USER"),
        ({"USER": "kvasir"}, "OPENSEARCH_USER and OPENSEARCH_PASSWORD belong together"),
        ({"PASSWORD": SECRET}, "OPENSEARCH_USER and OPENSEARCH_PASSWORD belong together"),
        ({"USER": "a:b", "PASSWORD": SECRET}, "OPENSEARCH_USER has a colon"),
    ],
)
def test_a_login_that_contradicts_itself_is_refused(tmp_path: Path, variables: Mapping[str, str], text: str) -> None:
    named = {"OPENSEARCH_URL": "http://127.0.0.1:9", **{f"OPENSEARCH_{name}": one for name, one in variables.items()}}
    with pytest.raises(StoreMisconfigured, match=text) as caught:
        make_store(KnowledgeSettings(tmp_path, tmp_path, "", store="opensearch", store_variables=named))
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(Login(OPENSEARCH, "", "kvasir", SECRET))


@contextlib.asynccontextmanager
async def pretender(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    """Serve what a server with authentication, a proxy or another program answers; yields the address."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return answer(request)

    async with serve(handle) as url:
        yield url


@contextlib.asynccontextmanager
async def serve(handle: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def refusal(status: int, kind: str = "", reason: str = "") -> Callable[[web.Request], web.Response]:
    body = {"error": {"type": kind, "reason": reason}, "status": status} if kind else {"message": "no"}
    return lambda _: web.json_response(body, status=status)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (refusal(401, "security_exception", f"missing {SECRET}"), StoreMisconfigured, "OPENSEARCH_USER"),
        (
            refusal(403, "security_exception", "no permissions for [cluster:monitor/nodes/info] and User [name=k]"),
            StoreMisconfigured,
            "lacks the permission cluster:monitor/nodes/info",
        ),
        (refusal(403), StoreMisconfigured, "lacks a permission"),
        (refusal(404), StoreMisconfigured, "Another server than OpenSearch"),
        (lambda _: web.Response(text="<html>"), StoreMisconfigured, "Another server than OpenSearch"),
        (lambda _: web.json_response({"nodes": {}}), StoreMisconfigured, "Another server than OpenSearch"),
        (lambda _: web.Response(status=302, headers={"Location": "/x"}), StoreMisconfigured, "Another server"),
        (
            lambda _: web.json_response({"nodes": {"a": {"version": "2.19.1"}, "b": {"version": "1.3.2"}}}),
            StoreMisconfigured,
            r"version 1\.3, and Kvasir needs 2\.17",
        ),
    ],
)
async def test_a_server_that_refuses_stops_the_opening(
    answer: Callable[[web.Request], web.Response], kind: type[StoreError], text: str
) -> None:
    async with pretender(answer) as url:
        store = OpenSearchStore(OPENSEARCH, [url], Login(OPENSEARCH, "", "kvasir", SECRET), limits=QUICK)
        with pytest.raises(kind, match=text) as caught:
            await store.open(INDEX, DIMENSIONS)
        assert SECRET not in str(caught.value)
        await store.close()


@pytest.mark.parametrize(
    ("dialect", "login", "header"),
    [
        (OPENSEARCH, ("", "kvasir", "pass:wörd"), "Basic a3Zhc2lyOnBhc3M6d8O2cmQ="),
        (ELASTICSEARCH, ("bm90IGEga2V5",), "ApiKey bm90IGEga2V5"),
        (OPENSEARCH, (), None),
    ],
)
async def test_every_call_says_who_asks(dialect: Dialect, login: tuple[str, ...], header: str | None) -> None:
    seen: list[str | None] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"error": {"type": "busy"}}, status=503)

    async with pretender(answer) as url:
        store = OpenSearchStore(dialect, [url], Login(dialect, *login), limits=QUICK)
        await store.open(INDEX, DIMENSIONS)
        await store.close()
    assert set(seen) == {header}


@contextlib.asynccontextmanager
async def guard(server: SearchServer, header: str) -> AsyncIterator[str]:
    """Pass calls with this header on to a server, as a proxy that authenticates does; yields the address."""

    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != header:
            return web.json_response({"error": {"type": "security_exception"}}, status=401)
        url, body = f"{server.url}{request.path_qs}", await request.read()
        headers = {"Content-Type": request.content_type}
        async with session.request(request.method, url, data=body, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name == "X-elastic-product"}
            return web.Response(
                status=answer.status, body=await answer.read(), headers=kept, content_type=answer.content_type
            )

    async with aiohttp.ClientSession() as session, serve(handle) as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("is_key", [True, False])
async def test_every_call_passes_a_proxy_that_authenticates(server: SearchServer, *, is_key: bool) -> None:
    dialect = {one.prefix: one for one in (OPENSEARCH, ELASTICSEARCH)}[server.prefix]
    login = Login(dialect, "bm90IGEga2V5") if is_key else Login(dialect, "", "kvasir", "pass:wörd")
    header = "ApiKey bm90IGEga2V5" if is_key else "Basic a3Zhc2lyOnBhc3M6d8O2cmQ="
    async with guard(server, header) as url:
        async with opened(OpenSearchStore(dialect, [url], login)) as store:
            await store.write([row("a"), row("b")])
            await store.delete(["b"])
            assert set(await search(store)) == {"a"}
            assert [one.chunk.id for one in await store.read_rows(["a"])] == ["a"]
            assert [ids async for ids in store.list_ids()] == [["a"]]
            assert INDEX in await store.list_indexes()
            await store.check()
        stranger = OpenSearchStore(dialect, [url], Login(dialect, "", "kvasir", "another"))
        with pytest.raises(StoreMisconfigured, match=f"{dialect.prefix}_PASSWORD"):
            await stranger.open(INDEX, DIMENSIONS)
        await stranger.close()


@pytest.mark.parametrize(
    ("status", "kind", "reason", "error"),
    [
        (403, "security_exception", "action [indices:data/write/bulk] is unauthorized", StoreReadOnly),
        (403, "security_exception", "no permissions for [indices:data/read/search]", StoreMisconfigured),
        (429, "cluster_block_exception", "disk usage exceeded flood-stage watermark", StoreReadOnly),
        (403, "cluster_block_exception", "index [x] blocked by: read-only", StoreReadOnly),
        (503, "cluster_block_exception", "state not recovered", StoreUnavailable),
        (429, "es_rejected_execution_exception", "queue is full", StoreUnavailable),
        (429, "circuit_breaking_exception", "data too large", StoreUnavailable),
        (404, "index_not_found_exception", "no such index", IndexLost),
        (400, "mapper_parsing_exception", f"failed to parse {SECRET}", StoreError),
    ],
)
def test_errors_of_the_server_get_our_classes(status: int, kind: str, reason: str, error: type[StoreError]) -> None:
    found = ServerErrors(OPENSEARCH, ["http://o:9200"]).translate(status, {"type": kind, "reason": reason})
    assert type(found) is error
    assert SECRET not in str(found)


# ── Down ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_that_is_down_is_reported_by_every_call(caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    store = OpenSearchStore(OPENSEARCH, [url], Login(OPENSEARCH), limits=QUICK)
    async with asyncio.timeout(WAIT_S):
        await store.open(INDEX, DIMENSIONS)
        assert url in caplog.text
        for call in (store.count, store.check, lambda: search(store), lambda: store.write([row("a")])):
            with pytest.raises(StoreUnavailable, match=f"{url}.*OPENSEARCH_URL"):
                await call()
        await store.close()


async def test_a_server_that_hangs_is_late() -> None:
    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(WAIT_S)
        writer.close()

    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    store = OpenSearchStore(ELASTICSEARCH, [url], Login(ELASTICSEARCH), limits=QUICK)
    await store.open(INDEX, DIMENSIONS)
    with pytest.raises(StoreUnavailable, match=r"within 1 s.*ELASTICSEARCH_URL"):
        await search(store)
    await store.close()
    listener.close()


@pytest.mark.slow
async def test_a_server_that_dies_and_returns_is_used_again(tmp_path: Path) -> None:
    with opensearch_server(tmp_path) as server:
        store = make(server, limits=ServerLimits(read_s=30, write_s=WAIT_S))
        await store.open(INDEX, DIMENSIONS)
        await store.write([row("before")])
        server.kill()
        with pytest.raises(StoreUnavailable, match="OPENSEARCH_URL"):
            await search(store)
        writing = asyncio.create_task(store.write([row("after")]))
        await asyncio.to_thread(server.start)
        await writing
        assert set(await search(store)) == {"before", "after"}
        await store.close()


@pytest.mark.slow
async def test_another_node_answers_for_one_that_is_down(server: SearchServer) -> None:
    (port,) = free_ports(1)
    dialect = OPENSEARCH if server.prefix == "OPENSEARCH" else ELASTICSEARCH
    store = OpenSearchStore(dialect, [f"http://127.0.0.1:{port}", f"{server.url}/"], Login(dialect))
    async with opened(store):
        await store.write([row("a")])
        assert set(await search(store)) == {"a"}


@pytest.mark.slow
async def test_a_companys_own_authority_is_trusted(opensearch: SearchServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with terminate_tls(authority.server("localhost"), opensearch.url) as url:
        trusting = WebSettings(ca_file=authority.ca_file)
        async with opened(OpenSearchStore(OPENSEARCH, [url], Login(OPENSEARCH), web=trusting)) as store:
            await store.write([row("a")])
            assert set(await search(store)) == {"a"}
        stranger = OpenSearchStore(OPENSEARCH, [url], Login(OPENSEARCH))
        with pytest.raises(StoreMisconfigured, match="KVASIR_CA_FILE"):
            await stranger.open(INDEX, DIMENSIONS)
        await stranger.close()


PROBED = math.log(4 / 3) / 2.2
"""The score of the document that measures scores."""


def make_scored(score: float) -> object:
    return {"timed_out": False, "hits": {"hits": [{"_score": score}]}}


@contextlib.asynccontextmanager
async def new_server(
    search: Callable[[], object], take: Callable[[web.Request], object] = lambda _: None
) -> AsyncIterator[str]:
    """Serve an index of ours as a newer OpenSearch does, with these answers to searches and writes."""
    kvasir = {"schema": SCHEMA, "dimensions": DIMENSIONS}
    answers: dict[str, Callable[[web.Request], object]] = {
        "_nodes": lambda _: {"nodes": {"a": {"version": "3.1.0"}}},
        "_mapping": lambda _: {INDEX: {"mappings": {"_meta": {"kvasir": kvasir}}}},
        "_bulk": take,
        "_search": lambda _: search(),
    }
    async with pretender(lambda one: web.json_response(answers[one.path.rpartition("/")[2]](one))) as url:
        yield url


async def test_an_overloaded_server_gets_the_rows_again_and_a_limited_search_fails() -> None:
    busy = {"status": 429, "error": {"type": "rejected_execution_exception", "reason": "queue"}}
    bulks = iter([{"errors": True, "items": [{"index": busy}]}, {"errors": False, "items": []}])
    searches = iter([make_scored(PROBED), {"timed_out": True, "hits": {"hits": []}}])
    async with new_server(lambda: next(searches), lambda _: next(bulks)) as url:
        store = OpenSearchStore(OPENSEARCH, [url], Login(OPENSEARCH))
        await store.open(INDEX, DIMENSIONS)
        await store.write([row("a")])
        assert next(bulks, None) is None
        with pytest.raises(StoreUnavailable, match="overloaded"):
            await store.read_rows(["a"])
        await store.close()


async def test_a_call_has_few_rows_and_few_bytes() -> None:
    """A server refuses calls of more than 100 MB, or less if its operator says so."""
    sizes: list[int] = []

    def take(request: web.Request) -> object:
        sizes.append(request.content_length or 0)
        return {"errors": False, "items": []}

    async with new_server(lambda: make_scored(PROBED), take) as url:
        store = OpenSearchStore(OPENSEARCH, [url], Login(OPENSEARCH))
        await store.open(INDEX, DIMENSIONS)
        await store.write([row(str(n), text="word " * 200_000) for n in range(20)])
        assert sum(sizes) > 20_000_000
        assert max(sizes) <= 8_000_000
        sizes.clear()
        await store.write([row("long", text="word " * 2_000_000), row("short")])
        await store.write([row(str(n)) for n in range(1200)])
        await store.delete([str(n) for n in range(1200)])
        assert len(sizes) == 2 + 3 + 3
        await store.close()


@pytest.mark.parametrize("score", [0.0, 0.1, 0.5])
async def test_a_server_that_scores_otherwise_is_refused(score: float) -> None:
    async with new_server(lambda: make_scored(score)) as url:
        store = OpenSearchStore(OPENSEARCH, [url], Login(OPENSEARCH))
        with pytest.raises(StoreMisconfigured, match="does not score"):
            await store.open(INDEX, DIMENSIONS)
        await store.close()


# ── The index ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_the_other_server_is_refused(opensearch: SearchServer, elasticsearch: SearchServer) -> None:
    for dialect, url in ((OPENSEARCH, elasticsearch.url), (ELASTICSEARCH, opensearch.url)):
        store = OpenSearchStore(dialect, [url], Login(dialect))
        with pytest.raises(StoreMisconfigured, match=f"Another server than {dialect.name}"):
            await store.open(INDEX, DIMENSIONS)
        await store.close()


@pytest.mark.slow
async def test_an_index_of_another_program_is_refused_and_is_lost_later(server: SearchServer) -> None:
    store = make(server)
    server.call("PUT", f"/{INDEX}", {"mappings": {"properties": {"text": {"type": "text"}}}})
    with pytest.raises(StoreMisconfigured, match=r"delete it, then run `kvasir sync`"):
        await store.open(INDEX, DIMENSIONS)
    server.call("DELETE", f"/{INDEX}")
    async with opened(store):
        await store.check()
        server.call("DELETE", f"/{INDEX}")
        server.call("PUT", f"/{INDEX}")
        with pytest.raises(IndexLost):
            await store.check()


@pytest.mark.slow
async def test_a_write_never_makes_an_index(server: SearchServer) -> None:
    async with opened(make(server)) as store:
        await store.drop_index(INDEX)
        with pytest.raises(IndexLost):
            await store.write([row("a")])
        with pytest.raises(IndexLost):
            await store.delete(["a"])
        assert INDEX not in await store.list_indexes()


@pytest.mark.slow
async def test_many_processes_open_a_new_index_with_one_scale(server: SearchServer) -> None:
    stores = [make(server) for _ in range(6)]
    await asyncio.gather(*(store.open(INDEX, DIMENSIONS) for store in stores))
    await stores[0].write([row(f"r{n}", f"other{n}", some_unit(n)) for n in range(9)] + [row("a", "rare")])
    for store in stores:
        assert (await search(store, "rare"))["a"] == pytest.approx(math.log(1 + 9.5 / 1.5), rel=1e-3)
        assert await store.count() == 10
    await stores[0].drop_index(INDEX)
    for store in stores:
        await store.close()


@pytest.mark.slow
async def test_terms_are_counted_over_all_shards(server: SearchServer) -> None:
    async with opened(make(server, shards=5)) as store:
        await store.write([row(f"r{n}", f"other{n}", some_unit(n)) for n in range(9)] + [row("a", "rare")])
        assert (await search(store, "rare"))["a"] == pytest.approx(math.log(1 + 9.5 / 1.5), rel=1e-3)
        assert sorted([id_ async for batch in store.list_ids() for id_ in batch]) == ["a", *(f"r{n}" for n in range(9))]


@pytest.mark.slow
async def test_long_ids_that_begin_alike_are_different_rows(server: SearchServer) -> None:
    long = "页" * 400
    async with opened(make(server)) as store:
        await store.write([row(f"{long}{n}") for n in range(3)])
        assert {one.chunk.id for one in await store.read_rows([f"{long}1", long])} == {f"{long}1"}
        await store.delete([f"{long}0"])
        assert [id_ async for batch in store.list_ids() for id_ in batch] == [f"{long}1", f"{long}2"]


@pytest.mark.slow
async def test_very_long_terms_and_dimensions_of_real_embedders_are_stored(server: SearchServer) -> None:
    store = make(server)
    await store.open(INDEX, 1024)
    term = "𠀀" * 20_000
    await store.write([row("a", f"{term} short", some_unit(1, 1024))])
    found = await store.find_candidates(some_unit(1, 1024), term, pool=5, scope=Scope(frozenset({"docs"})))
    assert found[0].bm25 > 0
    assert found[0].cosine == pytest.approx(1, abs=1e-6)
    await store.drop_index(INDEX)
    await store.close()


@pytest.mark.slow
async def test_installations_see_their_own_namespace_alone(server: SearchServer) -> None:
    names = ("", "acme", "acmeb")
    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(make(server, namespace=name))) for name in names]
        for name, store in zip(names, stores, strict=True):
            await store.write([row(f"of {name}")])
        for name, store in zip(names, stores, strict=True):
            assert [index for index in await store.list_indexes() if index == INDEX] == [INDEX]
            assert set(await search(store)) == {f"of {name}"}
        await stores[1].drop_index(INDEX)
        assert [INDEX in await store.list_indexes() for store in stores] == [True, False, True]


# ── Refused writes, missing parts, deleted texts ─────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_a_full_disk_makes_the_index_read_only(server: SearchServer) -> None:
    async with opened(make(server)) as store:
        server.call("PUT", f"/{INDEX}/_settings", {"index.blocks.read_only_allow_delete": True})
        with pytest.raises(StoreReadOnly, match="nearly full"):
            await store.write([row("a")])
        server.call("PUT", f"/{INDEX}/_settings", {"index.blocks.read_only_allow_delete": None})
        await store.write([row("a")])


@pytest.mark.slow
async def test_a_search_without_a_part_of_the_index_fails(server: SearchServer) -> None:
    """An answer without the rows of a missing shard would look like one without these documents."""
    async with opened(make(server, shards=2)) as store:
        await store.write([row(f"r{n}") for n in range(20)])
        assert set(await search(store)) == {f"r{n}" for n in range(20)}
        server.call("PUT", f"/{INDEX}/_settings", {"index.routing.allocation.enable": "none"})
        (node,) = server.call("GET", "/_nodes")["nodes"]
        missing = {"index": INDEX, "shard": 0, "node": node, "allow_primary": True}
        server.call("POST", "/_cluster/reroute", {"commands": [{"cancel": missing}]})
        async with asyncio.timeout(WAIT_S):
            while server.call("GET", f"/_cluster/health/{INDEX}")["status"] != "red":  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.05)
        for call in (store.check, store.count, lambda: search(store)):
            with pytest.raises(StoreUnavailable, match="lacks a part"):
                await call()


@pytest.mark.slow
async def test_scrubbing_removes_deleted_texts_from_the_files(server: SearchServer) -> None:
    gone, kept = secrets.token_hex(32), secrets.token_hex(32)

    def find(text: str) -> list[Path]:
        """Return the files with a part of the text, because the servers compress texts lightly."""
        parts = [text[at : at + 12].encode() for at in range(len(text) - 12)]
        files = [path for path in server.folder.rglob("*") if path.is_file()]
        return [path for path in files if any(part in path.read_bytes() for part in parts)]

    async with opened(make(server)) as store:
        await store.write([row("a", text=gone), *(row(f"r{n}", text=f"{kept} {n}") for n in range(50))])
        server.call("POST", f"/{INDEX}/_flush")
        assert find(gone)
        await store.delete(["a"])
        await store.scrub()
        assert not find(gone)
        assert find(kept)
        assert server.call("GET", f"/{INDEX}/_stats/docs")["_all"]["total"]["docs"]["deleted"] == 0
        assert set(await search(store)) == {f"r{n}" for n in range(50)}
