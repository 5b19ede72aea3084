"""Search within listed sites, without any provider: the words of addresses in their sitemaps, and of links to them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from knowledge.dates import parse_iso_date
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
from knowledge.web.searching.provider import SearchHit
from knowledge.web.searching.site_index import SiteIndex

_log = logging.getLogger(__name__)

CACHE_S: Final = 3_600.0
FAILURE_CACHE_S: Final = 300.0
MAX_PAGES: Final = 20_000
"""Of one site; those that its sitemaps name first."""
_WALK_S = 120.0
_LIMITS = FetchLimits(total_s=30.0, wire_bytes=MAX_SITEMAP_BYTES, body_bytes=MAX_SITEMAP_BYTES)
_ASK = FetchOptions(accept=SITEMAP_TYPES, limits=_LIMITS)
_FIRST_PAGE = FetchOptions(
    accept=HTML_TYPES, limits=FetchLimits(total_s=15.0, wire_bytes=5_000_000, body_bytes=5_000_000)
)
_OK = 200


class SitemapSearch:
    """Searches the sites that an operator listed. Their sitemaps are read by the first search, and kept for an hour."""

    name = "sitemap"
    own = True

    def __init__(self, sites: Sequence[str], fetcher: Fetcher, *, now: Callable[[], float] = time.monotonic) -> None:
        """Raise ``ValueError`` where an address is none."""
        self._fetcher = fetcher
        self._reader = SiteParser()
        self._shelves = [_CachedSiteIndex(Site.of(site), self._walked, now) for site in sites]

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[SearchHit]:
        """Return what is found (see ``Provider``).

        A walk through sitemaps goes on when the search that began it is cancelled, so that the next one finds more.

        Raises:
            ProviderFailed: none of the sites has a sitemap that can be read.

        """
        shelves = [shelf for shelf in self._shelves if not domains or shelf.within(domains)]
        indexes = [index for index in await asyncio.gather(*(shelf.index() for shelf in shelves)) if index is not None]
        if shelves and not indexes:
            raise ProviderFailed(
                f"None of the {len(shelves)} listed sites has a sitemap that can be read. "
                "Look at [web] sites in kvasir.toml: each needs a sitemap.xml, or one that its robots.txt names."
            )
        scored = [match for index in indexes for match in index.search(query, limit)]
        best = sorted(scored, key=lambda match: -match.score)[:limit]
        return [SearchHit(match.url, match.title, "", match.published) for match in best]

    async def close(self) -> None:
        """End walks, the parsing process and every connection; safe to call twice."""
        for shelf in self._shelves:
            await shelf.close()
        await self._reader.close()
        await self._fetcher.close()

    async def _walked(self, site: Site) -> SiteIndex:
        host = HostClient(self._fetcher, RequestSpacing(0.0, asyncio.sleep, time.monotonic), time.time)
        async with asyncio.timeout(_WALK_S):
            await host.learn(site.origin)
            walk = SitemapWalk(site, host, self._reader, _ASK, None, most=MAX_PAGES)
            dates, broken = await walk.pages()
            if not dates:
                raise FetchError(broken or "it has no sitemap")
            names = await self._names(site, host)
        return await asyncio.to_thread(_index_pages, dates, names, host.robots)

    async def _names(self, site: Site, host: HostClient) -> dict[str, str]:
        """Return what the site's first page calls its pages; nothing where it cannot be read."""
        first = f"{site.origin}{site.prefix}"
        if not host.robots.allows(first):
            return {}
        try:
            found = await host.fetch(first, _FIRST_PAGE)
            links = await self._reader.names(found) if found.status == _OK else []
        except (FetchError, ParseError):
            return {}
        named = ((site.address(link, found.url), name) for link, name in links)
        return {page: name for page, name in named if page is not None}


def _index_pages(dates: Mapping[str, str], names: Mapping[str, str], robots: RobotsRules) -> SiteIndex:
    told = islice(dates.items(), MAX_PAGES)
    return SiteIndex({url: parse_iso_date(date) for url, date in told if robots.allows(url)}, names)


class _CachedSiteIndex:
    """One site's index: kept for a while, made by one walk at a time, which belongs to the shelf."""

    def __init__(self, site: Site, walk: Callable[[Site], Awaitable[SiteIndex]], now: Callable[[], float]) -> None:
        self._site = site
        self._walk = walk
        self._now = now
        self._index: SiteIndex | None = None
        self._until = 0.0
        self._walking: asyncio.Task[None] | None = None

    def within(self, domains: frozenset[str]) -> bool:
        """Say whether the site is one of these, or lies under one."""
        return is_within_domains(extract_host(self._site.origin), domains)

    async def index(self) -> SiteIndex | None:
        """Return the index, an old one where the site does not answer now; None where there is none."""
        if self._now() >= self._until:
            if self._walking is None:
                self._walking = asyncio.create_task(self._renew(), name="sitemap walk")
            await asyncio.shield(self._walking)
        return self._index

    async def close(self) -> None:
        """End the walk."""
        if self._walking is not None:
            self._walking.cancel()
            await asyncio.wait({self._walking})

    async def _renew(self) -> None:
        try:
            self._index = await self._walk(self._site)
            self._until = self._now() + CACHE_S
        except (FetchError, TimeoutError) as error:
            why = error.reason if isinstance(error, FetchError) else f"it took over {_WALK_S:g} s"
            _log.warning("the sitemaps of %s were not read: %s", self._site.origin, why)
            self._until = self._now() + FAILURE_CACHE_S
        finally:
            self._walking = None
