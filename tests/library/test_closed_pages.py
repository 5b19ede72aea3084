"""A part of a website that now needs a login, through the whole library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge.document_chunking import make_chunking
from knowledge.library import Library
from knowledge.parsing import Parser
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from tests.library.library_bench import Bench, texts
from tests.sources.building import memories
from tests.sources.website.fake_site import Reply, WebSite
from tests.sources.website.shared_reader import share_reader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(360)]

PAGES = 14


@pytest.fixture
async def site() -> AsyncIterator[WebSite]:
    site = WebSite()
    await site.start()
    site.page("/", "".join(f'<a href="/docs/{n}">no {n}</a>' for n in range(PAGES)))
    for n in range(PAGES):
        site.page(f"/docs/{n}", f"<p>The secret of quay {n} is tar.</p>")
    yield site
    await site.stop()


@pytest.fixture
async def library(site: WebSite, tmp_path: Path) -> AsyncIterator[Library]:
    async with AsyncExitStack() as stack:
        parser = Parser()
        stack.push_async_callback(parser.close)
        bench = Bench(tmp_path, None)
        bench.passages = make_chunking(parser, bench.embedder)
        spec = SourceSpec("site", "website", {"url": site.url, "allow_hosts": [site.host]}, tmp_path)
        source = share_reader(registry.build_source(spec, tmp_path / "sources", memories({})))
        stack.push_async_callback(source.close)
        library = await stack.enter_async_context(bench.library(source))
        assert (await library.refresh()).ok
        assert len(await secrets(library)) == PAGES
        yield library


async def secrets(library: Library) -> list[str]:
    return sorted(one for one in await texts(library, "secret of quay", limit=50) if "secret" in one)


CLOSED = [Reply("no", 401), Reply("no", 403), Reply("", 302, headers={"Location": "/login?next=there"})]


@pytest.mark.parametrize("reply", CLOSED, ids=["401", "403", "login"])
async def test_closed_pages_are_hidden_however_many_they_are(site: WebSite, library: Library, reply: Reply) -> None:
    """So many deletions wait for approval, but the texts are hidden at once."""
    site.page("/login?next=there", '<form><input name="user"><input type="password" name="password"></form>')
    for n in range(1, PAGES):
        site.pages[f"/docs/{n}"] = reply
    for _ in range(2):
        report = (await library.refresh()).sources["site"]
        assert await secrets(library) == ["The secret of quay 0 is tar."]
    assert (report.pending_deletions, report.deleted) == (PAGES - 1, 0)
    site.page("/docs/1", "<p>The secret of quay 1 is tar.</p>")
    assert (await library.refresh()).sources["site"].pending_deletions == PAGES - 2
    assert await secrets(library) == ["The secret of quay 0 is tar.", "The secret of quay 1 is tar."]


async def test_a_site_behind_a_login_is_hidden(site: WebSite, library: Library) -> None:
    """Pages no longer link to each other, but the remembered links do."""
    before = dict(site.pages)
    for path in before:
        site.page(path, '<form action="/login"><input name="user"><input type="password" name="password"></form>')
    for _ in range(2):
        await library.refresh()
        assert await secrets(library) == []
    site.pages.update(before)
    assert (await library.refresh()).ok
    assert len(await secrets(library)) == PAGES
