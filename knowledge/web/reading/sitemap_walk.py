"""List the pages in a site's sitemaps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from knowledge.errors import FetchError, FetchRefused, FetchTooLarge, FetchTypeNotAllowed, ParseError
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.crawling.host_client import POSSIBLY_GONE_STATUSES, HostClient, strip_query
from knowledge.web.http.fetch import FetchOptions
from knowledge.web.reading.site_parser import TOO_COMPLEX, SiteParser
from knowledge.web.reading.sitemap import Sitemap

_MAX_SITEMAPS = 200
_YIELD_AFTER_PAGES = 500
"""Pages after which other tasks run."""
_OK = 200


@dataclass(frozen=True, slots=True)
class SitemapWalk:
    """Reads the configured sitemap, else those in robots.txt, else ``/sitemap.xml``, and all that they name."""

    site: Site
    host: HostClient
    parser: SiteParser
    options: FetchOptions
    """Its authorization is sent to the site's own sitemaps only."""
    configured_url: str | None
    max_pages: int | None = None
    """Pages after which Kvasir reads no further sitemap; None for no limit."""

    async def list_pages(self) -> tuple[dict[str, str], str | None]:
        """Return the pages in the sitemaps with their dates, and which sitemap could not be read."""
        start = (self.configured_url,) if self.configured_url else self.host.robots.sitemaps
        linked_from = None if self.configured_url or not start else self.site.origin
        waiting = [(url, linked_from) for url in start or (f"{self.site.origin}/sitemap.xml",)]
        urls: set[str] = set()
        dates: dict[str, str] = {}
        first_problem: str | None = None
        while waiting and len(urls) < _MAX_SITEMAPS and (self.max_pages is None or len(dates) < self.max_pages):
            url, linked_from = waiting.pop(0)
            if url in urls:
                continue
            urls.add(url)
            sitemap, problem = await self._fetch_sitemap(url, linked_from)
            first_problem = first_problem or (f"the sitemap {strip_query(url)} {problem}" if problem else None)
            if sitemap is not None:
                waiting += [(further, url) for further in sitemap.sitemaps]
                await self._add_pages(sitemap, url, dates)
        return dates, first_problem

    async def _add_pages(self, sitemap: Sitemap, url: str, dates: dict[str, str]) -> None:
        for number, (link, changed) in enumerate(sitemap.pages):
            page = self.site.normalize_link(link, url)
            if page is not None:
                dates[page] = changed.isoformat() if changed else ""
            if number % _YIELD_AFTER_PAGES == 0:
                await asyncio.sleep(0)

    async def _fetch_sitemap(self, url: str, linked_from: str | None) -> tuple[Sitemap | None, str | None]:
        """Return a sitemap, or the problem with a sitemap that should exist."""
        is_own = url.startswith(f"{self.site.origin}/")
        options = self.options if is_own else replace(self.options, authorization=None)
        is_configured = url == self.configured_url
        try:
            response = await self.host.fetch(url, options, linked_from)
        except (FetchTypeNotAllowed, FetchRefused, FetchTooLarge) as error:
            return None, error.reason if is_configured else None
        except FetchError as error:
            return None, error.reason
        if response.status != _OK:
            is_problem = is_configured or response.status not in POSSIBLY_GONE_STATUSES
            return None, f"answers {response.status}" if is_problem else None
        try:
            sitemap = await self.parser.parse_sitemap(response)
        except ParseError:
            return None, TOO_COMPLEX
        return sitemap, "is not a sitemap" if is_configured and sitemap is None else None
