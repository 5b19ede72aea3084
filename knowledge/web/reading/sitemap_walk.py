"""A site's sitemaps, and those that they name: which pages there are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from knowledge.errors import FetchError, FetchRefused, FetchTooLarge, FetchUnlisted, ParseError
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.crawling.host_client import POSSIBLY_GONE_STATUSES, HostClient, plain
from knowledge.web.http.fetch import FetchOptions
from knowledge.web.reading.site_parser import TOO_COMPLEX, SiteParser
from knowledge.web.reading.sitemap import Sitemap

_MAX_SITEMAPS = 200
_YIELD_AFTER_PAGES = 500
"""After which other tasks have a turn."""
_OK = 200


@dataclass(frozen=True, slots=True)
class SitemapWalk:
    """Goes from the sitemap that is configured, else from those of robots.txt, else from ``/sitemap.xml``."""

    site: Site
    host: HostClient
    reader: SiteParser
    ask: FetchOptions
    """Its authorization is for the site's own sitemaps alone."""
    configured: str | None
    most: int | None = None
    """Pages after which no further sitemap is read; None: all are."""

    async def pages(self) -> tuple[dict[str, str], str | None]:
        """Return the pages that the sitemaps name, with their dates, and which sitemap could not be read."""
        given = (self.configured,) if self.configured else self.host.robots.sitemaps
        told_by = None if self.configured or not given else self.site.origin
        waiting = [(url, told_by) for url in given or (f"{self.site.origin}/sitemap.xml",)]
        seen: set[str] = set()
        dates: dict[str, str] = {}
        broken: str | None = None
        while waiting and len(seen) < _MAX_SITEMAPS and (self.most is None or len(dates) < self.most):
            url, told_by = waiting.pop(0)
            if url in seen:
                continue
            seen.add(url)
            found, problem = await self._sitemap(url, told_by)
            broken = broken or (f"the sitemap {plain(url)} {problem}" if problem else None)
            if found is not None:
                waiting += [(one, url) for one in found.sitemaps]
                await self._add(found, url, dates)
        return dates, broken

    async def _add(self, found: Sitemap, url: str, dates: dict[str, str]) -> None:
        for number, (link, changed) in enumerate(found.pages):
            page = self.site.address(link, url)
            if page is not None:
                dates[page] = changed.isoformat() if changed else ""
            if number % _YIELD_AFTER_PAGES == 0:
                await asyncio.sleep(0)

    async def _sitemap(self, url: str, told_by: str | None) -> tuple[Sitemap | None, str | None]:
        """Return a sitemap, or what is wrong with one that should be there; ``told_by`` is what named it, if any."""
        ask = self.ask if url.startswith(f"{self.site.origin}/") else replace(self.ask, authorization=None)
        wanted = url == self.configured
        try:
            found = await self.host.fetch(url, ask, told_by)
        except (FetchUnlisted, FetchRefused, FetchTooLarge) as error:
            return None, error.reason if wanted else None
        except FetchError as error:
            return None, error.reason
        if found.status != _OK:
            return None, f"answers {found.status}" if wanted or found.status not in POSSIBLY_GONE_STATUSES else None
        try:
            read = await self.reader.sitemap(found)
        except ParseError:
            return None, TOO_COMPLEX
        return read, "is no sitemap" if wanted and read is None else None
