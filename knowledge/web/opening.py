"""Open the live web: fetcher, search and page reader. Nothing connects before the first question."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from knowledge.interfaces import Embedder
from knowledge.web.http.connections import ResolveHost
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import build_rules, leads_to_private_host
from knowledge.web.http.settings import WebSettings
from knowledge.web.live.live_web import GRACE_S, LiveWeb
from knowledge.web.live_settings import LiveSettings
from knowledge.web.reading.page_cache import PageCache
from knowledge.web.reading.page_loader import PageLoader
from knowledge.web.searching.registry import create_providers
from knowledge.web.searching.web_search import WebSearch

MAX_PAGE_BYTES: Final = 20_000_000
"""The most bytes of a decompressed page: each question holds five in memory, and 50 kB may decompress to this."""


@contextlib.asynccontextmanager
async def open_live(
    live: LiveSettings,
    web: WebSettings,
    embedder: Embedder,
    folder: Path,
    *,
    resolve: ResolveHost | None = None,
    grace_s: float = GRACE_S,
) -> AsyncIterator[LiveWeb]:
    """Open the live web for a ``with`` block; ``embedder`` is the embedder of the documents.

    Raises:
        ValueError: a host in the settings is malformed.

    """
    rules = build_rules(live.private_hosts, web.ports, live.allowed_domains)
    async with contextlib.AsyncExitStack() as stack:
        pages = await stack.enter_async_context(open_pages(live, web, folder, resolve=resolve))
        search = None
        if live.search.provider_order:
            providers = create_providers(live.search, web, rules)
            search = WebSearch(
                providers,
                is_private=lambda url: leads_to_private_host(url, rules),
                recogniser=live.recogniser,
                withholds_private=live.withholds_private,
            )
            stack.push_async_callback(search.close)
        yield LiveWeb(live.allowed_domains, pages=pages, search=search, embedder=embedder, grace_s=grace_s)


@contextlib.asynccontextmanager
async def open_pages(
    live: LiveSettings, web: WebSettings, folder: Path, *, resolve: ResolveHost | None = None
) -> AsyncIterator[PageLoader]:
    """Open the page reader for a ``with`` block; its cache lies in ``folder``.

    Raises:
        ValueError: a host in the settings is malformed.

    """
    async with contextlib.AsyncExitStack() as stack:
        limits = replace(web.limits, body_bytes=min(web.limits.body_bytes, MAX_PAGE_BYTES))
        rules = build_rules(live.private_hosts, web.ports, live.allowed_domains)
        fetcher = Fetcher(replace(web, limits=limits), rules, resolve=resolve)
        stack.push_async_callback(fetcher.close)
        pages = PageLoader(fetcher, PageCache(folder, live.cache_bytes))
        stack.push_async_callback(pages.close)
        yield pages
