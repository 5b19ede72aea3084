"""A part of a website that is for nobody without a login any more, through the whole library."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge.opening import passages_of
from knowledge.parsing import Parser
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from tests.sources.web_site import Reply, WebSite
from tests.sources_bench import memories
from tests.sync.library_bench import Bench, texts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PAGES = 14


@pytest.mark.parametrize("status", [401, 403])
async def test_pages_that_are_closed_answer_nobody_however_many_they_are(tmp_path: Path, status: int) -> None:
    """So many at once are held, as a person may have to look; but not what they said."""
    async with AsyncExitStack() as stack:
        site = WebSite()
        await site.start()
        stack.push_async_callback(site.stop)
        site.page("/", "".join(f'<a href="/docs/{n}">no {n}</a>' for n in range(PAGES)))
        for n in range(PAGES):
            site.page(f"/docs/{n}", f"<p>The secret of quay {n} is tar.</p>")
        parser = Parser()
        stack.push_async_callback(parser.close)
        bench = Bench(tmp_path, None)
        bench.passages = passages_of(parser, bench.embedder)
        spec = SourceSpec("site", "website", {"url": site.url, "allow_hosts": [site.host]}, tmp_path)
        source = registry.build(spec, tmp_path / "sources", memories({}))
        stack.push_async_callback(source.close)
        library = await stack.enter_async_context(bench.library(source))
        assert (await library.refresh()).ok
        assert len([one for one in await texts(library, "secret of quay", limit=50) if "secret" in one]) == PAGES
        for n in range(1, PAGES):
            site.pages[f"/docs/{n}"] = Reply("no", status)
        for _ in range(2):
            report = (await library.refresh()).sources["site"]
            found = [one for one in await texts(library, "secret of quay", limit=50) if "secret" in one]
            assert found == ["The secret of quay 0 is tar."]
        assert (report.held, report.deleted) == (PAGES - 1, 0)
        site.page("/docs/1", "<p>The secret of quay 1 is tar.</p>")
        assert (await library.refresh()).sources["site"].held == PAGES - 2
        found = [one for one in await texts(library, "secret of quay", limit=50) if "secret" in one]
        assert sorted(found) == ["The secret of quay 0 is tar.", "The secret of quay 1 is tar."]
