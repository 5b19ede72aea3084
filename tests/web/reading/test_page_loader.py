"""Reading pages: robots.txt, parsing, and refusals with a reason."""

from __future__ import annotations

import asyncio
import gzip
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from knowledge.errors import (
    FetchBadStatus,
    FetchFailed,
    FetchRefused,
    FetchTimeout,
    FetchTooLarge,
    FetchTypeNotAllowed,
    FetchUnreadable,
)
from knowledge.web.crawling.robots import RobotsRules
from knowledge.web.crawling.robots_policy import RobotsPolicy
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import build_rules
from knowledge.web.http.settings import WebSettings
from knowledge.web.live_settings import LiveSettings
from knowledge.web.opening import MAX_PAGE_BYTES, open_pages
from knowledge.web.reading.page_cache import PageCache
from knowledge.web.reading.page_loader import PageLoader
from tests.parsing.makers import pdf, word
from tests.web.site import ARTICLE, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def pages(stack: AsyncExitStack, site: Site) -> PageLoader:
    fetcher = Fetcher(WebSettings(contact="https://kvasir.example"), build_rules([site.host]))
    stack.push_async_callback(fetcher.close)
    pages = PageLoader(fetcher)
    stack.push_async_callback(pages.close)
    return pages


async def test_a_page_is_read_with_its_metadata(site: Site, pages: PageLoader) -> None:
    site.html("/news", ARTICLE)
    page = await pages.read_page(f"{site.url}/news?utm_source=x#part", within_s=30)
    assert (page.title, page.author) == ("The night shift", "Ada Lovelace")
    assert page.published == datetime(2026, 11, 3, tzinfo=UTC)
    assert page.canonical == f"{site.url}/canonical"
    assert page.final_url == f"{site.url}/news?utm_source=x"
    assert "runs at night" in page.text
    assert "## What follows" in page.text
    assert "Imprint" not in page.text
    assert [section.headings for section in page.document.sections][-1][-1] == "What follows"
    assert (page.status, page.stale) == (200, False)
    agents = {request.headers["User-Agent"] for request in site.requests}
    assert agents == {"Kvasir/0.1 (+https://kvasir.example)"}


async def test_disallowed_pages_are_not_fetched(site: Site, pages: PageLoader) -> None:
    site.robots(b"User-agent: *\nDisallow: /private")
    site.html("/private/a", ARTICLE)
    with pytest.raises(FetchRefused) as caught:
        await pages.read_page(f"{site.url}/private/a", within_s=30)
    assert "robots.txt" in caught.value.reason
    assert site.asked("/private/a") == 0


@pytest.mark.parametrize("to", ["/private/a", "/on"])
async def test_no_redirect_leads_to_a_disallowed_page(site: Site, pages: PageLoader, to: str) -> None:
    site.robots(b"User-agent: *\nDisallow: /private")
    site.html("/private/a", ARTICLE)
    site.moved("/moved", 302, to)
    site.moved("/on", 301, "/private/a")
    with pytest.raises(FetchRefused) as caught:
        await pages.read_page(f"{site.url}/moved", within_s=30)
    assert "robots.txt" in caught.value.reason
    assert site.asked("/private/a") == 0


async def test_only_allowed_sites_are_fetched(stack: AsyncExitStack, tmp_path: Path) -> None:
    here, there = Site(), Site()
    for one in (here, there):
        await stack.enter_async_context(one.served())
    named = build_rules([f"{name}:{one.port}" for name, one in (("a.example", here), ("b.example", there))])
    fetcher = Fetcher(WebSettings(), named, resolve=_at_loopback)
    stack.push_async_callback(fetcher.close)
    pages = PageLoader(fetcher, PageCache(tmp_path, 1_000_000))
    stack.push_async_callback(pages.close)
    away = f"http://b.example:{there.port}"
    there.page("/b", "# Guide\n\nRun it.", Cache_Control="no-cache")
    here.answers(
        "/moved", lambda: web.Response(status=301, headers={"Location": f"{away}/b", "Cache-Control": "max-age=600"})
    )
    only = frozenset({"a.example"})
    for url in (f"http://a.example:{here.port}/moved", f"{away}/b"):
        with pytest.raises(FetchRefused) as caught:
            await pages.read_page(url, within_s=30, allowed_domains=only)
        assert "b.example is not among" in caught.value.reason
    assert there.requests == []
    # The cached redirect only leads callers that may read its target.
    assert (await pages.read_page(f"http://a.example:{here.port}/moved", within_s=30)).title == "Guide"
    there.requests.clear()
    with pytest.raises(FetchRefused):
        await pages.read_page(f"http://a.example:{here.port}/moved", within_s=30, allowed_domains=only)
    # Nor does a robots.txt.
    here.moved("/robots.txt", 302, f"{away}/robots.txt")
    here.page("/c", "# Guide\n\nRun it.")
    again = PageLoader(fetcher)
    stack.push_async_callback(again.close)
    with pytest.raises(FetchRefused):
        await again.read_page(f"http://a.example:{here.port}/c", within_s=30, allowed_domains=only)
    assert there.requests == []
    assert (await again.read_page(f"http://a.example:{here.port}/c", within_s=30)).title == "Guide"


async def _at_loopback(_host: str) -> list[str]:
    return ["127.0.0.1"]


async def test_an_unreachable_robots_txt_allows_nothing(site: Site, pages: PageLoader) -> None:
    site.answers("/robots.txt", lambda: web.Response(status=503))
    site.html("/a", ARTICLE)
    with pytest.raises(FetchFailed) as caught:
        await pages.read_page(f"{site.url}/a", within_s=30)
    assert "503" in caught.value.reason
    assert site.asked("/a") == 0


async def test_a_robots_txt_of_thousands_of_rules_delays_no_others(site: Site, stack: AsyncExitStack) -> None:
    turns = 0

    def parse(data: bytes) -> RobotsRules:
        nonlocal turns
        turns = 0
        rules = RobotsRules(data)
        assert turns > 0, "other tasks had a turn meanwhile"
        return rules

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    site.robots(b"User-agent: *\n" + b"".join(b"Disallow: /x%d/*y\n" % n for n in range(25_000)))
    fetcher = Fetcher(WebSettings(), build_rules([site.host]))
    stack.push_async_callback(fetcher.close)
    ticking = asyncio.create_task(count_turns())
    rules = await RobotsPolicy(fetcher.fetch, time.time, parse).load_rules(site.url)
    ticking.cancel()
    assert not rules.allows_url(f"{site.url}/x7/ay")


async def test_an_error_status_is_reported(site: Site, pages: PageLoader) -> None:
    with pytest.raises(FetchBadStatus) as caught:
        await pages.read_page(f"{site.url}/gone", within_s=30)
    assert (caught.value.status, caught.value.reason) == (404, "it answers 404")
    assert "404" not in str(caught.value)


async def test_other_types_are_not_read(site: Site, pages: PageLoader) -> None:
    site.answers("/a.png", lambda: web.Response(body=b"x", content_type="image/png"))
    with pytest.raises(FetchTypeNotAllowed):
        await pages.read_page(f"{site.url}/a.png", within_s=30)


async def test_a_page_that_decompresses_to_too_much_is_refused(
    site: Site, stack: AsyncExitStack, tmp_path: Path
) -> None:
    packed = {
        size: gzip.compress(b"Words of a text.\n" * (size // 17)) for size in (MAX_PAGE_BYTES // 2, MAX_PAGE_BYTES * 2)
    }
    headers = {"Content-Encoding": "gzip"}
    for size, data in packed.items():
        answer = partial(web.Response, body=data, content_type="text/plain", headers=headers)
        site.answers(f"/{size}", answer)
    pages = await stack.enter_async_context(
        open_pages(LiveSettings(private_hosts=(site.host,)), WebSettings(), tmp_path)
    )
    assert (await pages.read_page(f"{site.url}/{MAX_PAGE_BYTES // 2}", within_s=60)).text.startswith("Words of a text.")
    with pytest.raises(FetchTooLarge):
        await pages.read_page(f"{site.url}/{MAX_PAGE_BYTES * 2}", within_s=60)


async def test_text_and_markdown_are_read_by_their_parsers(site: Site, pages: PageLoader) -> None:
    site.answers("/a.md", lambda: web.Response(text="# Guide\n\n## Setup\n\nRun it.", content_type="text/markdown"))
    page = await pages.read_page(f"{site.url}/a.md", within_s=30)
    assert (page.title, page.text) == ("Guide", "## Setup\n\nRun it.")


async def test_pdf_and_word_are_parsed_and_truncated_ones_reported(site: Site, pages: PageLoader) -> None:
    word_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    policy = pdf([["Receipts are needed within a month."]], title="Expenses")
    letter = word(lambda document: document.add_paragraph("The office closes at noon on Fridays."))
    site.answers("/policy", lambda: web.Response(body=policy, content_type="application/pdf"))
    site.answers("/letter", lambda: web.Response(body=letter, content_type=word_type))
    site.answers("/broken", lambda: web.Response(body=policy[: len(policy) // 3], content_type="application/pdf"))
    page = await pages.read_page(f"{site.url}/policy", within_s=30)
    assert (page.title, page.text) == ("Expenses", "Receipts are needed within a month.")
    assert "closes at noon" in (await pages.read_page(f"{site.url}/letter", within_s=30)).text
    with pytest.raises(FetchUnreadable):
        await pages.read_page(f"{site.url}/broken", within_s=30)


async def test_a_page_without_text_is_unreadable_with_a_reason(site: Site, pages: PageLoader) -> None:
    site.html("/app", '<title>App</title><div id="root"></div><script src="app.js"></script>')
    with pytest.raises(FetchUnreadable) as caught:
        await pages.read_page(f"{site.url}/app", within_s=30)
    assert "script" in str(caught.value)


async def test_a_slow_page_ends_with_the_deadline(site: Site, pages: PageLoader) -> None:
    site.hangs("/slow")
    with pytest.raises(FetchTimeout) as caught:
        await pages.read_page(f"{site.url}/slow", within_s=0.3)
    assert "0.3 s" in caught.value.reason
