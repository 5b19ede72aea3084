"""Put the live web together: what fetches, what searches, what reads. Nothing is dialled before the first question."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from knowledge.web.http.connections import ResolveHost
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import build_rules, leads_to_private_host
from knowledge.web.http.settings import LiveSettings, WebSettings
from knowledge.web.live.live_web import LiveEmbedder, LiveWeb
from knowledge.web.reading.page_cache import PageCache
from knowledge.web.reading.page_reader import PageReader
from knowledge.web.searching.registry import create_providers
from knowledge.web.searching.web_search import WebSearch

PAGE_BYTES: Final = 20_000_000
"""Of a page once it is unpacked: five are held side by side for each question, and 50 kB may unpack to that."""


@contextlib.asynccontextmanager
async def open_live(
    live: LiveSettings, web: WebSettings, embedder: LiveEmbedder, folder: Path, *, resolve: ResolveHost | None = None
) -> AsyncIterator[LiveWeb]:
    """Open the live web for the length of a block; ``embedder`` is that of the documents.

    Raises:
        ValueError: a host or a provider in the settings cannot be meant.

    """
    own = build_rules(live.private, web.ports, live.only)
    async with contextlib.AsyncExitStack() as stack:
        pages = await stack.enter_async_context(open_pages(live, web, folder, resolve=resolve))
        search = None
        if live.search.order:
            search = WebSearch(
                create_providers(live.search, web, own), inside=lambda url: leads_to_private_host(url, own)
            )
            stack.push_async_callback(search.close)
        yield LiveWeb(live.only, pages=pages, search=search, embedder=embedder)


@contextlib.asynccontextmanager
async def open_pages(
    live: LiveSettings, web: WebSettings, folder: Path, *, resolve: ResolveHost | None = None
) -> AsyncIterator[PageReader]:
    """Open what reads pages for the length of a block; what was read is kept in ``folder``.

    Raises:
        ValueError: a host in the settings cannot be meant.

    """
    async with contextlib.AsyncExitStack() as stack:
        limits = replace(web.limits, body_bytes=min(web.limits.body_bytes, PAGE_BYTES))
        fetcher = Fetcher(replace(web, limits=limits), build_rules(live.private, web.ports, live.only), resolve=resolve)
        stack.push_async_callback(fetcher.close)
        pages = PageReader(fetcher, PageCache(folder, live.cache_bytes))
        stack.push_async_callback(pages.close)
        yield pages
