"""The live web over real sockets: which pages are read or left out, why, and within what time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from knowledge.errors import EmbedderError
from knowledge.interfaces import LiveWebRequest, SkipReason, WebTrouble
from knowledge.web.live.live_web import GRACE_S, MAX_PAGES, MAX_PASSAGES, SUFFICIENT_PAGES
from knowledge.web.live_settings import SearchSettings
from knowledge.web.searching.web_search import WebSearch
from tests.waiting import WAIT_S
from tests.web.live.small_web import SmallWeb, SmallWebEmbedder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(360)]

QUESTION = "When does the lighthouse open?"
LONG_S = 60.0
"""More than any machine needs for a few pages."""
ANSWER = "The lighthouse opens at seven in summer and at nine in winter."


@pytest.fixture
async def little(stack: AsyncExitStack) -> SmallWeb:
    little = SmallWeb()
    await little.start(stack)
    return little


async def test_hits_are_read_split_and_scored(little: SmallWeb, stack: AsyncExitStack) -> None:
    urls = [little.put("a.example", "/light", ANSWER), little.put("b.example", "/bread", "Bread needs flour.")]
    results = await (await little.opened(stack)).look_up(
        QUESTION, LiveWebRequest("always", words="lighthouse hours of a@b.example", within_s=LONG_S)
    )
    assert (results.look.provider, results.look.read, results.look.left_out) == ("searxng", tuple(urls), ())
    assert results.look.trouble is None
    assert "a@b.example" not in little.engine.asked[0]
    assert little.engine.asked[0].startswith("lighthouse hours")
    first, second = results.pages
    assert (first.web.host, first.web.stale, first.is_linked) == ("a.example", False, False)
    assert ANSWER in first.chunks[0].text
    assert (first.chunks[0].document, first.chunks[0].kind) == (urls[0], "html")
    assert max(one.cosine for one in first.scores.values()) > max(one.cosine for one in second.scores.values())


async def test_five_pages_are_read_concurrently_although_one_hangs(little: SmallWeb, stack: AsyncExitStack) -> None:
    hanging = little.find("a.example", "/hang")
    little.site.hangs("/hang")
    others = [little.put(f"{letter}.example", f"/{letter}", ANSWER) for letter in "bcde"]
    live = await little.opened(stack, grace_s=4.0)
    results = await live.look_up(QUESTION, LiveWebRequest("always", within_s=LONG_S))
    assert SUFFICIENT_PAGES <= len(results.look.read) <= 4
    assert {*results.look.read} <= {*others}
    late = {hanging, *others} - {*results.look.read}
    assert {(one.url, one.why) for one in results.look.left_out} == {(url, SkipReason.LATE) for url in late}
    assert [little.site.asked(path) for path in ("/hang", "/b", "/c", "/d", "/e")] == [1] * 5


async def test_a_link_is_read_first_and_awaited_until_the_end(little: SmallWeb, stack: AsyncExitStack) -> None:
    slow = asyncio.Event()

    async def wait_a_little() -> None:
        await asyncio.sleep(GRACE_S + 2.5)
        slow.set()

    little.put("a.example", "/linked", "Bread needs flour.", found=False)
    little.site.delays("/linked", slow)
    linked = little.url("a.example", "/linked")
    for letter in "bcdefg":
        little.put(f"{letter}.example", f"/{letter}", ANSWER)
    waiting = asyncio.create_task(wait_a_little())
    results = await (await little.opened(stack)).look_up(
        QUESTION, LiveWebRequest("always", links=(linked, linked + "#part"), within_s=LONG_S)
    )
    await waiting
    assert results.look.read[0] == linked
    assert results.pages[0].is_linked
    assert SUFFICIENT_PAGES < len(results.look.read) <= MAX_PAGES
    assert little.site.requests[0].path in {"/linked", "/robots.txt"}
    assert linked not in little.engine.asked[0]


async def test_without_a_provider_only_links_are_read(little: SmallWeb, stack: AsyncExitStack) -> None:
    links = tuple(little.put("a.example", f"/{n}", f"Page {n}. {ANSWER}", found=False) for n in range(7))
    live = await little.opened(stack)
    results = await live.look_up(QUESTION, LiveWebRequest("always", links=links[:1], search=False, within_s=LONG_S))
    assert (results.look.provider, results.look.read, results.look.trouble) == ("", links[:1], None)
    results = await live.look_up(QUESTION, LiveWebRequest("always", links=links, within_s=LONG_S))
    assert results.look.read == links[:5]
    assert [(one.url, one.why) for one in results.look.left_out] == [
        (links[5], SkipReason.TOO_MANY),
        (links[6], SkipReason.TOO_MANY),
    ]
    assert little.engine.asked == []


async def test_unreadable_pages_make_room_for_others(little: SmallWeb, stack: AsyncExitStack) -> None:
    gone = [little.find("a.example", f"/gone{n}") for n in range(4)]
    good = [little.put(f"{letter}.example", f"/{letter}", ANSWER) for letter in "bcde"]
    inner = "http://10.0.0.1/secret"
    results = await (await little.opened(stack, grace_s=LONG_S)).look_up(
        QUESTION, LiveWebRequest("always", links=(inner,), within_s=LONG_S)
    )
    assert results.look.read == tuple(good)
    why = {one.url: one.why for one in results.look.left_out}
    assert set(why) == {inner, *gone}
    assert len(set(why.values())) == 1, "it reveals nothing about the inner network"


async def test_only_listed_domains_are_fetched(little: SmallWeb, stack: AsyncExitStack) -> None:
    inside, outside = little.put("b.example", "/in", ANSWER), little.put("c.example", "/out", ANSWER)
    little.site.answers("/leads", lambda: web.Response(status=302, headers={"Location": outside}))
    leads = little.find("b.example", "/leads")
    # Once for the question, within the configured domains, and once by the configuration.
    for allowed, expected in (((), {"b.example"}), (("b.example",), set()), (("example",), {"b.example"})):
        little.site.requests.clear()
        live = await little.opened(stack, listed_only=bool(allowed), domains=frozenset(allowed))
        results = await live.look_up(
            QUESTION, LiveWebRequest("always", links=(outside,), domains=frozenset(expected), within_s=LONG_S)
        )
        assert results.look.read == (inside,)
        assert (results.look.left_out[0].url, results.look.left_out[0].why) == (outside, SkipReason.NOT_LISTED)
        assert leads in {one.url for one in results.look.left_out}
        hosts = {request.host for request in little.site.requests}
        assert hosts == {f"b.example:{little.site.port}"}, "a redirect there is not even followed"
    results = await live.look_up(
        QUESTION, LiveWebRequest("always", links=(outside,), domains=frozenset({"elsewhere.test"}), within_s=LONG_S)
    )
    assert (results.pages, results.look.trouble) == ((), WebTrouble.NO_SITE_ALLOWED)


async def test_a_search_that_fails_or_hangs_leaves_the_links(little: SmallWeb, stack: AsyncExitStack) -> None:
    linked = little.put("a.example", "/linked", ANSWER, found=False)
    live = await little.opened(stack)
    little.engine.trouble = web.Response(status=500)
    results = await live.look_up(QUESTION, LiveWebRequest("always", links=(linked,), within_s=LONG_S))
    assert (results.look.read, results.look.provider, results.look.trouble) == ((linked,), "", WebTrouble.NO_ANSWER)
    little.engine.trouble, little.engine.hanging = None, asyncio.Event()
    late = little.put("a.example", "/late", ANSWER, found=False)
    little.site.delays("/late", little.engine.broken_off)
    results = await live.look_up("Another question?", LiveWebRequest("always", links=(late,), within_s=12))
    assert results.look.trouble == WebTrouble.NO_ANSWER
    assert results.look.read == (late,), "the search has its own share of the time, and the page the rest"


class BrokenProvider:
    """A provider with a defect."""

    name = "broken"
    is_self_hosted = False

    async def search(self, _query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        raise KeyError(QUESTION, limit, domains)

    async def close(self) -> None:
        pass


async def test_a_defect_of_a_search_leaves_the_links(
    little: SmallWeb, stack: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    linked = little.put("a.example", "/linked", ANSWER, found=False)
    live = await little.opened_with(stack, WebSearch([BrokenProvider()]))
    results = await live.look_up(QUESTION, LiveWebRequest("always", links=(linked,), within_s=LONG_S))
    assert (results.look.read, results.look.trouble) == ((linked,), WebTrouble.NO_ANSWER)
    assert "KeyError" in caplog.text
    assert QUESTION not in caplog.text


async def test_a_lookup_without_a_provider_says_so(little: SmallWeb, stack: AsyncExitStack) -> None:
    linked = little.put("a.example", "/linked", ANSWER, found=False)
    live = await little.opened(stack, search=SearchSettings())
    results = await live.look_up(QUESTION, LiveWebRequest("always", within_s=LONG_S))
    assert (results.pages, results.look.trouble) == ((), WebTrouble.NO_PROVIDER)
    results = await live.look_up(QUESTION, LiveWebRequest("always", links=(linked,), within_s=LONG_S))
    assert (results.look.read, results.look.trouble) == ((linked,), None)


async def test_pages_that_hang_are_left_out_at_the_deadline(little: SmallWeb, stack: AsyncExitStack) -> None:
    urls = [little.find(f"{letter}.example", f"/{letter}") for letter in "abcde"]
    for letter in "abcde":
        little.site.hangs(f"/{letter}")
    live = await little.opened(stack)
    results = await live.look_up(QUESTION, LiveWebRequest("always", within_s=3))
    assert {(one.url, one.why) for one in results.look.left_out} == {(url, SkipReason.LATE) for url in urls}


async def test_a_cancelled_lookup_ends_its_fetches(little: SmallWeb, stack: AsyncExitStack) -> None:
    for letter in "abc":
        little.find(f"{letter}.example", f"/{letter}")
        little.site.hangs(f"/{letter}")
    live = await little.opened(stack)
    before = asyncio.all_tasks()
    look = asyncio.create_task(live.look_up(QUESTION, LiveWebRequest("always", within_s=60)))
    async with asyncio.timeout(WAIT_S):
        while not all(little.site.asked(f"/{letter}") for letter in "abc"):  # noqa: ASYNC110 - a server's own state
            await asyncio.sleep(0.01)
        look.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look
        while little.site.open:  # noqa: ASYNC110 - the server hears of it a moment later
            await asyncio.sleep(0.01)
    left = [repr(task.get_coro()) for task in asyncio.all_tasks() - before]
    assert not [one for one in left if "_Look" in one or "Pages" in one or "WebSearch" in one or "embed" in one]


async def test_a_long_page_embeds_its_likeliest_passages(little: SmallWeb, stack: AsyncExitStack) -> None:
    filler = "Matter of the harbour is told here at length, and nobody asked for it. " * 20
    parts = "".join(f"<h2>Part {n}</h2><p>{n} {filler}</p>" for n in range(40))
    text = f"<article><h1>Harbour</h1>{parts}<h2>Light</h2><p>{ANSWER * 3}</p></article>"
    body = f"<html><head><title>Harbour</title></head><body>{text}</body></html>"
    little.site.html("/long", body)
    little.find("a.example", "/long")
    embedder = SmallWebEmbedder()
    [page] = (
        await (await little.opened(stack, embedder)).look_up(QUESTION, LiveWebRequest("always", within_s=LONG_S))
    ).pages
    assert len(page.chunks) > len(page.scores) == len(embedder.passages) == MAX_PASSAGES
    assert {0, 1, 2} <= page.scores.keys()
    assert any(ANSWER in page.chunks[place].text for place in page.scores)


async def test_without_an_embedder_words_alone_score_pages(little: SmallWeb, stack: AsyncExitStack) -> None:
    little.put("a.example", "/a", ANSWER)
    embedder = SmallWebEmbedder()
    live = await little.opened(stack, embedder)
    embedder.broken = True
    results = await live.look_up(QUESTION, LiveWebRequest("always", within_s=LONG_S))
    assert isinstance(results.trouble, EmbedderError)
    scores = [score for page in results.pages for score in page.scores.values()]
    assert scores
    assert all(score.cosine == 0.0 and score.terms for score in scores)
