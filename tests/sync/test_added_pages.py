"""Pages that owners add, through the whole library: one whose site is down or gone is no other page's trouble."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.page_additions import PageAdditions
from knowledge.interfaces import Source
from knowledge.library import Library
from knowledge.opening import make_chunking
from knowledge.parsing import Parser
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from knowledge.sources.pages.page_list import PageList, open_page_list
from tests.sources.building import memories
from tests.sources.website.fake_site import Reply, WebSite
from tests.sync.library_bench import Bench, texts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BUSY = Reply("busy", 503, headers={"Retry-After": "0"})
LOGIN = '<form action="/login"><input name="user"><input type="password" name="password"></form>'


@dataclass
class House:
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
        return await self.adding.sync_page(page.document)

    async def found(self, query: str) -> list[str]:
        return await texts(self.library, query, limit=20)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        site = WebSite()
        await site.start()
        stack.push_async_callback(site.stop)
        parser = Parser()
        stack.push_async_callback(parser.close)
        bench = Bench(tmp_path, None)
        bench.passages = make_chunking(parser, bench.embedder)
        spec = SourceSpec("pages", "pages", {"allow_hosts": [site.host]}, tmp_path)
        source: Source = registry.build_source(spec, tmp_path / "sources", memories())
        stack.push_async_callback(source.close)
        library = await stack.enter_async_context(bench.library(source))
        house = House(site, library, PageAdditions(spec, tmp_path, library), open_page_list(spec, tmp_path))
        assert await house.added("harbour", "The harbour opens at seven.") is None
        assert await house.added("quay", "The quay is closed on Sundays.") is None
        yield house


async def test_a_page_is_found_although_another_does_not_answer(house: House) -> None:
    house.site.pages["/quay"] = BUSY
    assert await house.added("mole", "The mole has a lighthouse.") is None
    assert "The mole has a lighthouse." in await house.found("mole lighthouse")
    assert "The quay is closed on Sundays." in await house.found("quay closed"), "it stays as it was known"
    (status,) = (await house.library.status()).sources
    assert (status.failed, status.error) == (1, None)
    assert "503" in status.failures[0].reason


async def test_a_page_is_removed_although_others_do_not_answer(house: House) -> None:
    house.site.pages["/quay"] = BUSY
    assert await house.adding.remove_page(house.url("harbour"))
    assert "The harbour opens at seven." not in await house.found("harbour opens")
    assert "The quay is closed on Sundays." in await house.found("quay closed")
    house.site.page("/quay", "<p>The quay is closed on Sundays.</p>")
    report = (await house.library.refresh()).sources["pages"]
    assert (report.ok, report.failed, report.pending_deletions) == (True, 0, 0)


@pytest.mark.parametrize("status", [404, 410, 401, 403])
async def test_a_missing_page_is_reported_when_it_is_added(house: House, status: int) -> None:
    house.site.pages["/mole"] = Reply("no", status)
    why = await house.kept("mole")
    assert why is not None
    assert house.url("mole") in why


SHUT = {
    "gone": Reply("no", 404),
    "denied": Reply("no", 403),
    "login": Reply(LOGIN),
    "redirected": Reply("", 302, headers={"Location": "/oauth2/authorize?next=there"}),
}


@pytest.mark.parametrize("reply", SHUT.values(), ids=list(SHUT))
async def test_missing_pages_and_logins_are_hidden_until_they_return(house: House, reply: Reply) -> None:
    house.site.page("/oauth2/authorize?next=there", "<div id=root></div><script src=a.js></script>")
    for name in ("harbour", "quay"):
        house.site.pages[f"/{name}"] = reply
    report = (await house.library.refresh()).sources["pages"]
    assert (report.failed, report.pending_deletions) == (2, 0)
    assert await house.found("harbour opens quay closed") == []
    house.site.page("/harbour", "<p>The harbour opens at seven.</p>")
    assert (await house.library.refresh()).sources["pages"].failed == 1
    assert await house.found("harbour opens") == ["The harbour opens at seven."]
    assert await house.adding.remove_page(house.url("quay"))
    assert (await house.library.refresh()).ok


async def test_the_last_pages_can_be_removed(house: House) -> None:
    assert house.pages.remove(house.url("harbour")), "while a sync was running, say"
    assert await house.adding.remove_page(house.url("quay"))
    assert await house.found("harbour opens quay closed") == []
