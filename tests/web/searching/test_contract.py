"""The contract of all search providers, each against a server that enforces its documentation."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from aiohttp import web

from knowledge.errors import ProviderBusy, ProviderError, ProviderFailed, ProviderRefused
from tests.waiting import WAIT_S
from tests.web.searching.fake_providers import KEY, Page
from tests.web.searching.provider_bench import Bench

DAY = datetime(2026, 3, 5, tzinfo=UTC)
PAGES = [
    Page("https://docs.example.com/limits", "Rate limits", "A key may ask 100 times a second.", DAY),
    Page("https://blog.example.org/2026/limits", "Why we limit", "It began with an outage.", DAY),
    Page("https://example.net/zh/限流", "限流 插件", "每秒最多 100 次请求。"),
]


async def test_pages_keep_the_providers_order(bench: Bench) -> None:
    bench.fake.pages = PAGES
    found = await bench.provider().search("rate limits", limit=8, domains=frozenset())
    assert found == [page.url for page in PAGES]
    assert bench.fake.asked == ["rate limits"]


async def test_no_more_than_the_limit(bench: Bench) -> None:
    bench.fake.pages = [Page(f"https://example.com/{n}", f"{n}", "") for n in range(40)]
    provider = bench.provider()
    for limit in (1, 5, 10):
        assert len(await provider.search("x", limit=limit, domains=frozenset())) == limit
    assert 10 <= len(await provider.search("x", limit=20, domains=frozenset())) <= 20


async def test_a_search_is_narrowed_to_domains_by_the_provider(bench: Bench) -> None:
    bench.fake.pages = PAGES
    provider = bench.provider()
    one = await provider.search("limits", limit=8, domains=frozenset({"example.org"}))
    assert one == [PAGES[1].url]
    two = await provider.search("limits", limit=8, domains=frozenset({"example.org", "docs.example.com"}))
    assert two == [PAGES[0].url, PAGES[1].url]


async def test_chinese_and_symbols_arrive_unchanged(bench: Bench) -> None:
    query = "APISIX 的 limit-count 插件 C++ & 100% “限流”?"
    await bench.provider().search(query, limit=3, domains=frozenset())
    assert bench.fake.asked == [query]


async def test_no_hits_is_an_answer(bench: Bench) -> None:
    assert list(await bench.provider().search("x", limit=3, domains=frozenset())) == []


async def test_the_key_is_only_in_a_header(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await bench.provider().search("who is secretive", limit=3, domains=frozenset())
    (request,) = bench.fake.requests
    assert KEY not in str(request.url)
    assert bench.kind.keyed == any(KEY in value for value in request.headers.values())
    assert KEY not in caplog.text
    assert "secretive" not in caplog.text


async def test_a_wrong_key_is_reported_without_the_key(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    if not bench.kind.keyed:
        pytest.skip("it has no key")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ProviderRefused if bench.kind.names_refusal else ProviderFailed) as caught:
        await bench.provider("wrong-key-0815").search("who is secretive", limit=3, domains=frozenset())
    assert "key" in str(caught.value)
    for text in (str(caught.value), repr(caught.value), caplog.text):
        assert "wrong-key-0815" not in text
        assert "secretive" not in text


async def test_a_requested_pause_is_reported(bench: Bench) -> None:
    bench.fake.trouble = web.Response(status=429, headers={"Retry-After": "7"})
    with pytest.raises(ProviderBusy) as caught:
        await bench.provider().search("x", limit=3, domains=frozenset())
    assert caught.value.retry_after_s == 7


async def test_other_errors_name_their_status(bench: Bench) -> None:
    for status in (400, 404, 500, 502, 503):
        bench.fake.trouble = web.Response(status=status, text="<p>secret words of a stack trace</p>")
        with pytest.raises(ProviderFailed, match=str(status)) as caught:
            await bench.provider().search("x", limit=3, domains=frozenset())
        assert "stack trace" not in str(caught.value)


async def test_a_web_page_is_not_a_providers_answer(bench: Bench) -> None:
    bench.fake.trouble = web.Response(text="<html>Please log in</html>", content_type="text/html")
    with pytest.raises(ProviderFailed, match="did not answer with JSON"):
        await bench.provider().search("x", limit=3, domains=frozenset())


async def test_broken_json_is_no_answer(bench: Bench) -> None:
    for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000):
        bench.fake.trouble = web.Response(body=body, content_type="application/json")
        with pytest.raises(ProviderFailed, match="did not answer with JSON"):
            await bench.provider().search("x", limit=3, domains=frozenset())


ODD = [
    {}, {"results": None, "organic": 3, "web": []}, {"results": {}, "web": {"results": "x"}},
    {"results": [None, 3, "x", [], {}], "organic": [{"link": 3}], "web": {"results": [{"url": ["https://a.example"]}]}},
]  # fmt: skip


async def test_answers_of_another_form_have_no_results(bench: Bench) -> None:
    for answer in ODD:
        bench.fake.raw = answer
        assert list(await bench.provider().search("x", limit=3, domains=frozenset())) == [], answer


async def test_only_valid_addresses_are_results(bench: Bench) -> None:
    bench.fake.pages = [
        Page("javascript:alert(1)", "a", "a"),
        Page("ftp://example.com/a", "a", "a"),
        Page("https://[broken/", "a", "a"),
        Page(f"https://example.com/{'a' * 9_000}", "a", "a"),
        Page("https://example.com/fine", "A <strong>bold</strong>&amp; \x1b[31mred\u202e\u200b title", "x" * 50_000),
    ]
    assert await bench.provider().search("x", limit=8, domains=frozenset()) == ["https://example.com/fine"]


async def test_an_endless_answer_is_cut(bench: Bench) -> None:
    bench.fake.endless = True
    with pytest.raises(ProviderFailed, match="bytes"):
        await bench.provider().search("x", limit=3, domains=frozenset())


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere(bench: Bench) -> None:
    other = bench.kind.fake()
    await other.start(bench.stack)
    for status in (301, 302, 303, 307, 308):
        bench.fake.trouble = web.Response(status=status, headers={"Location": other.url})
        with pytest.raises(ProviderFailed, match="redirect"):
            await bench.provider(also=other.port).search("x", limit=3, domains=frozenset())
    assert other.requests == []


async def test_a_search_that_is_cancelled_leaves_no_connection(bench: Bench) -> None:
    bench.fake.hanging = asyncio.Event()
    provider = bench.provider()
    search = asyncio.create_task(provider.search("x", limit=3, domains=frozenset()))
    await asyncio.wait_for(bench.fake.came.wait(), WAIT_S)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    await asyncio.wait_for(bench.fake.broken_off.wait(), WAIT_S)


async def test_an_unreachable_provider_fails(bench: Bench) -> None:
    provider = bench.provider()
    await bench.stack.aclose()
    with pytest.raises(ProviderError, match="the connection failed"):
        await provider.search("x", limit=3, domains=frozenset())
    await provider.close()


@pytest.mark.slow
async def test_concurrent_searches_and_one_after_a_close_work(bench: Bench) -> None:
    bench.fake.pages = PAGES
    provider = bench.provider()
    many = await asyncio.gather(*(provider.search(f"q{n}", limit=2, domains=frozenset()) for n in range(12)))
    assert {len(found) for found in many} == {2}
    await provider.close()
    await provider.close()
    assert len(await provider.search("again", limit=2, domains=frozenset())) == 2
