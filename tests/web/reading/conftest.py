"""The site whose pages are read, and the processes that parse them, which the tests of a module share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from knowledge.web.reading.article_loader import ArticleLoader
from tests.web.site import Site


class KeptArticleLoader(ArticleLoader):
    """Parses articles; its processes stay for the next test."""

    async def close(self) -> None:
        """Keep the processes."""

    async def end(self) -> None:
        """Stop the processes."""
        await super().close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def articles() -> AsyncIterator[KeptArticleLoader]:
    loader = KeptArticleLoader()
    yield loader
    await loader.end()


@pytest_asyncio.fixture(loop_scope="module")
async def stack(articles: KeptArticleLoader, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncExitStack]:
    monkeypatch.setattr("knowledge.web.reading.page_loader.ArticleLoader", lambda: articles)
    async with AsyncExitStack() as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def site(stack: AsyncExitStack) -> Site:
    return await stack.enter_async_context(Site().served())
