"""Pages that owners add, through the whole library: a site that is down or a missing page affects no other page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bot.messages.message import render_message
from bot.page_additions import PageAdditions
from knowledge.document_chunking import make_chunking
from knowledge.library import Library
from knowledge.parsing import Parser
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from knowledge.sources.pages.page_list import PageList, open_page_list
from tests.library.library_bench import Bench, texts
from tests.sources.building import memories
from tests.sources.website.fake_site import Reply, WebSite
from tests.sources.website.shared_reader import share_reader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(360), pytest.mark.asyncio(loop_scope="module")]

BUSY = Reply("busy", 503, headers={"Retry-After": "0"})
LOGIN = '<form action="/login"><input name="user"><input type="password" name="password"></form>'


@dataclass
class PagesLibrary:
    """Two pages that are found, on one site."""

    site: WebSite
    library: Library
    adding: PageAdditions
    pages: PageList

    def url(self, name: str) -> str:
        return f"{self.site.url}/{name}"

    async def added(self, name: str, text: str) -> str | None:
        self.site.page(f"/{name}", f"<p>{text}</p>")
        return await self.kept(name)

    async def kept(self, name: str) -> str | None:
        page = await self.adding.add_page(self.url(name), by="ada")
        assert page is not None
        why = await self.adding.sync_page(page.document)
        return None if why is None else render_message(why, "en")

    async def found(self, query: str) -> list[str]:
        return await texts(self.library, query, limit=20)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parser() -> AsyncIterator[Parser]:
    """Parse the documents of all tests in one process."""
    parser = Parser()
    yield parser
    await parser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def pages(tmp_path: Path, parser: Parser) -> AsyncIterator[PagesLibrary]:
    async with AsyncExitStack() as stack:
        site = WebSite()
        await site.start()
        stack.push_async_callback(site.stop)
        bench = Bench(tmp_path, None)
        bench.passages = make_chunking(parser, bench.embedder)
        spec = SourceSpec("pages", "pages", {"allow_hosts": [site.host]}, tmp_path)
        source = share_reader(registry.build_source(spec, tmp_path / "sources", memories()))
        stack.push_async_callback(source.close)
        library = await stack.enter_async_context(bench.library(source))
        pages = PagesLibrary(site, library, PageAdditions(spec, tmp_path, library), open_page_list(spec, tmp_path))
        assert await pages.added("harbour", "The harbour opens at seven.") is None
        assert await pages.added("quay", "The quay is closed on Sundays.") is None
        yield pages


async def test_a_page_is_found_although_another_does_not_answer(pages: PagesLibrary) -> None:
    pages.site.pages["/quay"] = BUSY
    assert await pages.added("mole", "The mole has a lighthouse.") is None
    assert "The mole has a lighthouse." in await pages.found("mole lighthouse")
    assert "The quay is closed on Sundays." in await pages.found("quay closed"), "it stays as it was known"
    (status,) = (await pages.library.status()).sources
    assert (status.failed, status.error) == (1, None)
    assert "503" in status.failures[0].reason


async def test_a_page_is_removed_although_others_do_not_answer(pages: PagesLibrary) -> None:
    pages.site.pages["/quay"] = BUSY
    assert await pages.adding.remove_page(pages.url("harbour"))
    assert "The harbour opens at seven." not in await pages.found("harbour opens")
    assert "The quay is closed on Sundays." in await pages.found("quay closed")
    pages.site.page("/quay", "<p>The quay is closed on Sundays.</p>")
    report = (await pages.library.refresh()).sources["pages"]
    assert (report.ok, report.failed, report.pending_deletions) == (True, 0, 0)


@pytest.mark.parametrize("status", [404, 410, 401, 403])
async def test_a_missing_page_is_reported_when_it_is_added(pages: PagesLibrary, status: int) -> None:
    pages.site.pages["/mole"] = Reply("no", status)
    why = await pages.kept("mole")
    assert why is not None
    assert pages.url("mole") in why


SHUT = {
    "gone": Reply("no", 404),
    "denied": Reply("no", 403),
    "login": Reply(LOGIN),
    "redirected": Reply("", 302, headers={"Location": "/oauth2/authorize?next=there"}),
}


@pytest.mark.parametrize("reply", SHUT.values(), ids=list(SHUT))
async def test_missing_pages_and_logins_are_hidden_until_they_return(pages: PagesLibrary, reply: Reply) -> None:
    pages.site.page("/oauth2/authorize?next=there", "<div id=root></div><script src=a.js></script>")
    for name in ("harbour", "quay"):
        pages.site.pages[f"/{name}"] = reply
    report = (await pages.library.refresh()).sources["pages"]
    assert (report.failed, report.pending_deletions) == (2, 0)
    assert await pages.found("harbour opens quay closed") == []
    pages.site.page("/harbour", "<p>The harbour opens at seven.</p>")
    assert (await pages.library.refresh()).sources["pages"].failed == 1
    assert await pages.found("harbour opens") == ["The harbour opens at seven."]
    assert await pages.adding.remove_page(pages.url("quay"))
    assert (await pages.library.refresh()).ok


async def test_the_last_pages_can_be_removed(pages: PagesLibrary) -> None:
    assert pages.pages.remove_page(pages.url("harbour")), "while a sync was running, say"
    assert await pages.adding.remove_page(pages.url("quay"))
    assert await pages.found("harbour opens quay closed") == []
