"""Search the listed sites without a service: by the words of addresses in their sitemaps and of links to them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from knowledge.errors import FetchError, ParseError, ProviderFailed
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.crawling.host_client import HostClient, RequestSpacing
from knowledge.web.crawling.robots import RobotsRules
from knowledge.web.http.domains import extract_host, is_within_domains
from knowledge.web.http.fetch import Fetcher, FetchOptions
from knowledge.web.http.settings import FetchLimits
from knowledge.web.reading.crawled_page import HTML_TYPES
from knowledge.web.reading.site_parser import SiteParser
from knowledge.web.reading.sitemap import MAX_SITEMAP_BYTES, SITEMAP_TYPES
from knowledge.web.reading.sitemap_walk import SitemapWalk
from knowledge.web.searching.site_index import SiteIndex

_log = logging.getLogger(__name__)

CACHE_S: Final = 3_600.0
FAILURE_CACHE_S: Final = 300.0
MAX_PAGES: Final = 20_000
"""Pages of one site that are indexed, in the order of its sitemaps."""
_WALK_S = 120.0
_LIMITS = FetchLimits(total_s=30.0, wire_bytes=MAX_SITEMAP_BYTES, body_bytes=MAX_SITEMAP_BYTES)
_SITEMAP_OPTIONS = FetchOptions(accept=SITEMAP_TYPES, limits=_LIMITS)
_FIRST_PAGE_OPTIONS = FetchOptions(
    accept=HTML_TYPES, limits=FetchLimits(total_s=15.0, wire_bytes=5_000_000, body_bytes=5_000_000)
)
_OK = 200


class SitemapSearch:
    """Searches the sites that an operator listed. Their sitemaps are read with the first search, then every hour."""

    name = "sitemap"
    is_self_hosted = True

    def __init__(
        self,
        sites: Sequence[str],
        fetcher: Fetcher,
        *,
        now: Callable[[], float] = time.monotonic,
        walk_s: float = _WALK_S,
        max_pages: int = MAX_PAGES,
    ) -> None:
        """Raise ``ValueError`` if an address is malformed."""
        self._walk_s = walk_s
        self._max_pages = max_pages
        self._fetcher = fetcher
        self._parser = SiteParser()
        self._sites = [_CachedSiteIndex(Site.from_url(site), self._build_index, now) for site in sites]

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        """Return the addresses (see ``SearchProvider``).

        Reading sitemaps continues when the search that started it is cancelled, so that the next search finds more.

        Raises:
            ProviderFailed: none of the sites has a readable sitemap.

        """
        sites = [site for site in self._sites if not domains or site.is_within(domains)]
        indexes = [index for index in await asyncio.gather(*(site.load_index() for site in sites)) if index is not None]
        if sites and not indexes:
            raise ProviderFailed(
                f"None of the {len(sites)} listed sites has a readable sitemap. "
                "Check [web] sites in kvasir.toml: each site needs a sitemap.xml, or one that its robots.txt names."
            )
        scored = [match for index in indexes for match in index.search(query, limit)]
        return [url for _, url in sorted(scored, key=lambda match: -match[0])[:limit]]

    async def close(self) -> None:
        """Stop reading sitemaps, the parsing process and all connections; safe to call twice."""
        for site in self._sites:
            await site.close()
        await self._parser.close()
        await self._fetcher.close()

    async def _build_index(self, site: Site) -> SiteIndex:
        host = HostClient(self._fetcher, RequestSpacing(0.0, asyncio.sleep, time.monotonic), time.time)
        try:
            async with asyncio.timeout(self._walk_s):
                await host.load_robots(site.origin)
                walk = SitemapWalk(site, host, self._parser, _SITEMAP_OPTIONS, None, max_pages=self._max_pages)
                dates, problem = await walk.list_pages()
                if not dates:
                    raise FetchError(problem or "it has no sitemap")
                link_texts = await self._read_link_texts(site, host)
        except TimeoutError:
            raise FetchError(f"it took over {self._walk_s:g} s") from None
        first = list(islice(dates, self._max_pages))
        return await asyncio.to_thread(_index_pages, first, link_texts, host.robots)

    async def _read_link_texts(self, site: Site, host: HostClient) -> dict[str, str]:
        """Return the texts of the links on the site's first page by address; empty if the page cannot be read."""
        first_page = f"{site.origin}{site.prefix}"
        if not host.robots.allows_url(first_page):
            return {}
        try:
            response = await host.fetch(first_page, _FIRST_PAGE_OPTIONS)
            links = await self._parser.parse_link_texts(response) if response.status == _OK else []
        except (FetchError, ParseError):
            return {}
        texts = ((site.normalize_link(link, response.url), text) for link, text in links)
        return {page: text for page, text in texts if page is not None}


def _index_pages(pages: Sequence[str], link_texts: Mapping[str, str], robots: RobotsRules) -> SiteIndex:
    return SiteIndex([url for url in pages if robots.allows_url(url)], link_texts)


class _CachedSiteIndex:
    """One site's index, cached for a time and rebuilt by one task at a time."""

    def __init__(self, site: Site, build: Callable[[Site], Awaitable[SiteIndex]], now: Callable[[], float]) -> None:
        self._site = site
        self._build = build
        self._now = now
        self._index: SiteIndex | None = None
        self._expires_at = 0.0
        self._rebuild_task: asyncio.Task[None] | None = None

    def is_within(self, domains: frozenset[str]) -> bool:
        """Return whether the site's host lies within the domains."""
        return is_within_domains(extract_host(self._site.origin), domains)

    async def load_index(self) -> SiteIndex | None:
        """Return the index, an old one if the site does not answer now; None if there is none."""
        if self._now() >= self._expires_at:
            if self._rebuild_task is None:
                self._rebuild_task = asyncio.create_task(self._rebuild_index(), name="sitemap walk")
            await asyncio.shield(self._rebuild_task)
        return self._index

    async def close(self) -> None:
        """Cancel the rebuild."""
        if self._rebuild_task is not None:
            self._rebuild_task.cancel()
            await asyncio.wait({self._rebuild_task})

    async def _rebuild_index(self) -> None:
        try:
            self._index = await self._build(self._site)
            self._expires_at = self._now() + CACHE_S
        except FetchError as error:
            _log.warning("the sitemaps of %s cannot be read: %s", self._site.origin, error.reason)
            self._expires_at = self._now() + FAILURE_CACHE_S
        finally:
            self._rebuild_task = None
