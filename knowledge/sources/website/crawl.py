"""One crawl of a site: fetches a few pages at a time and processes them in a fixed order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from knowledge.dates import parse_iso_date
from knowledge.errors import FetchError, FetchRefused, FetchTooLarge, FetchTypeNotAllowed
from knowledge.sources.web_pages import BodySpool, PageVisit, read_visit, too_large_visit
from knowledge.sources.website.frontier import Frontier, QueuedPage
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.crawling.host_client import (
    ACCESS_DENIED_STATUSES,
    MAX_CONCURRENT_REQUESTS,
    HostClient,
    build_conditional_headers,
)
from knowledge.web.http.fetch import FetchedResponse, FetchOptions
from knowledge.web.reading.crawled_page import LOGIN_REQUIRED, is_login_url
from knowledge.web.reading.site_parser import SiteParser

CLOSED = "is not public any more"

_MAX_LOST_IN_A_ROW = 5
"""After so many failed pages in a row, the crawl checks whether the site is up."""
_SITEMAP_TRUST_S = 7 * 86_400.0
"""How long a page is not fetched because its date in the sitemap is unchanged."""
_DAY_S = 86_400.0
_MAX_LINKS = 200_000
_OK, _UNCHANGED, _SERVER_ERROR = 200, 304, 500
_REFUSALS = range(400, 500)
_TEMPORARY_REFUSALS = frozenset({408, 425, 429})
"""Statuses that say nothing about the page."""


class SiteDown(Exception):
    """Neither the last pages nor the start page answered: the crawl ends."""


@dataclass(frozen=True, slots=True)
class LostPage:
    """A page that did not answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page as it is now."""

    visit: PageVisit
    data: bytes | None = field(default=None, repr=False)
    """The page's bytes; None if it has not changed."""


@dataclass(slots=True, kw_only=True)
class Crawl:
    """Crawls the pages of a frontier and yields the documents; ``visits`` is what the source remembers of all pages."""

    site: Site
    host: HostClient
    frontier: Frontier
    previous: Mapping[str, PageVisit]
    spool: BodySpool
    reader: SiteParser
    now: float
    ask: FetchOptions
    max_bytes: int
    start_url: str
    """The start page, which shows whether the site is up."""
    follow_links: bool
    fetched_pages: Mapping[str, FetchedResponse]
    resume_from: float
    """The start of an interrupted crawl: the pages that it fetched since then are not fetched again."""
    visits: dict[str, PageVisit] = field(default_factory=dict)
    lost_pages: dict[str, str] = field(default_factory=dict)
    _lost_in_a_row: int = 0
    _seen_versions: set[tuple[str, str]] = field(default_factory=set)
    _links: dict[str, str] = field(default_factory=dict)
    _listed: set[str] = field(default_factory=set)
    _aliases: list[tuple[str, PageVisit, str]] = field(default_factory=list)

    async def iterate_pages(self) -> AsyncGenerator[Sequence[tuple[str, PageVisit, str | None]], None]:
        """Yield each page that is a document: its id, its visit, and its date in the sitemap.

        Raises:
            SiteDown: the site no longer answers.

        """
        while stops := self.frontier.next_level():
            async with aclosing(self._visit_pages(stops)) as looked_at:
                async for stop, result in looked_at:
                    listed = await self._record_result(stop, result)
                    if listed is not None:
                        self._listed.add(listed[0])
                        yield [(*listed, stop.sitemap_date)]
        for document, visit, canonical in self._aliases:
            if canonical not in self._listed:  # its canonical page cannot be read
                self._listed.add(document)
                yield [(document, visit, None)]

    async def _visit_pages(
        self, stops: Sequence[QueuedPage]
    ) -> AsyncGenerator[tuple[QueuedPage, FoundPage | LostPage | None], None]:
        """Visit pages concurrently and yield them in their order, so that every crawl finds the same links."""
        waiting = iter(stops)
        tasks: deque[tuple[QueuedPage, asyncio.Task[FoundPage | LostPage | None]]] = deque()
        try:
            while True:
                while len(tasks) < MAX_CONCURRENT_REQUESTS and (stop := next(waiting, None)) is not None:
                    tasks.append((stop, asyncio.create_task(self._visit_page(stop))))
                if not tasks:
                    return
                stop, task = tasks[0]
                result = await task
                tasks.popleft()
                yield stop, result
        finally:
            for _, task in tasks:
                task.cancel()
            await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)

    async def _visit_page(self, stop: QueuedPage) -> FoundPage | LostPage | None:
        """Return the page, why it did not answer, or None if it is not a document."""
        if not self.host.robots.allows_url(stop.address):
            return None
        last_visit = self.previous.get(stop.document)
        if last_visit is not None and (
            self.resume_from <= last_visit.fetched_at <= self.now  # by an interrupted crawl
            or self._is_unchanged_in_sitemap(stop, last_visit)
        ):
            return FoundPage(last_visit)
        try:
            return await self._fetch_page(stop, last_visit)
        except (FetchTypeNotAllowed, FetchRefused):
            return None  # not a document, or it redirects to a forbidden address
        except FetchTooLarge:
            return FoundPage(too_large_visit(stop.address, self.max_bytes, self.now))
        except FetchError as error:
            return LostPage(error.reason)

    async def _fetch_page(self, stop: QueuedPage, last_visit: PageVisit | None) -> FoundPage | LostPage | None:
        validators = (
            build_conditional_headers(last_visit.etag, last_visit.last_modified) if last_visit is not None else {}
        )
        ask = replace(self.ask, conditional_headers=validators)
        found = self.fetched_pages.get(stop.address) or await self.host.fetch(stop.address, ask)
        if found.status == _UNCHANGED and last_visit is not None:
            return FoundPage(replace(last_visit, fetched_at=self.now, sitemap_date=stop.sitemap_date))
        if found.status in ACCESS_DENIED_STATUSES or (
            found.status == _OK and is_login_url(found.url) and not is_login_url(stop.address)
        ):
            return self._closed_page(last_visit)
        if found.status == _OK:
            return await self._read_page(stop, found)
        gone = found.status in _REFUSALS and found.status not in _TEMPORARY_REFUSALS
        return None if gone else LostPage(f"it answers {found.status}")

    @staticmethod
    def _closed_page(last_visit: PageVisit | None) -> FoundPage | None:
        """Return a closed page, listed for nobody: its deletion may wait for approval."""
        if last_visit is None or last_visit.unreadable == CLOSED:
            return None
        version = f"closed {last_visit.version}"
        return FoundPage(
            replace(last_visit, unreadable=CLOSED, version=version, etag=None, last_modified=None, sitemap_date=None)
        )

    def _is_unchanged_in_sitemap(self, stop: QueuedPage, last_visit: PageVisit) -> bool:
        """Return whether the sitemap proves a page unchanged; a recent date may hide a second change."""
        if stop.sitemap_date is None or stop.sitemap_date != last_visit.sitemap_date:
            return False
        date = parse_iso_date(stop.sitemap_date)
        age_s = self.now - last_visit.fetched_at
        return date is not None and 0 <= age_s < _SITEMAP_TRUST_S and last_visit.fetched_at > date.timestamp() + _DAY_S

    async def _read_page(self, stop: QueuedPage, found: FetchedResponse) -> FoundPage | None:
        address = self.site.normalize_link(found.url, found.url)
        if address is None or not self.host.robots.allows_url(address):
            return None  # it has moved to another site
        visit = await read_visit(found, address, self.site, self.reader, self.now, stop.sitemap_date)
        return FoundPage(visit, found.data)

    async def _record_result(
        self, stop: QueuedPage, result: FoundPage | LostPage | None
    ) -> tuple[str, PageVisit] | None:
        """Record the result of a visit and queue its links; return the document if it is one."""
        if isinstance(result, LostPage):
            return await self._record_lost(stop, result.reason)
        self._lost_in_a_row = 0
        if result is None:
            return None
        visit = self._limit_links(result.visit)
        document = self.site.document_id(visit.address)
        if document != stop.document and not self.frontier.claim_page(document):
            return None
        if visit.unreadable == LOGIN_REQUIRED and (last_visit := self.previous.get(document)) is not None:
            # The page has no links now. Keep the old ones: those pages may want a login too, and are not deleted.
            visit = self._limit_links(replace(visit, links=tuple(dict.fromkeys((*visit.links, *last_visit.links)))))
        self.visits[document] = visit
        self._queue_links(visit)
        if not self._is_listed(document, visit):
            return None
        if result.data is not None:
            await asyncio.to_thread(self.spool.store_body, document, visit.version, result.data)
        return document, visit

    async def _record_lost(self, stop: QueuedPage, reason: str) -> tuple[str, PageVisit] | None:
        self.lost_pages[stop.document] = reason
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= _MAX_LOST_IN_A_ROW:
            if not await self._is_site_up():
                raise SiteDown
            self._lost_in_a_row = 0
        last_visit = self.previous.get(stop.document)
        if last_visit is None:
            return None
        self.visits[stop.document] = last_visit
        self._queue_links(last_visit)
        return (stop.document, last_visit) if self._is_listed(stop.document, last_visit) else None

    async def _is_site_up(self) -> bool:
        """Return whether the start page answers, so that only some pages are broken."""
        try:
            found = await self.host.fetch(self.start_url, replace(self.ask, accept=None))
        except FetchError:
            return False
        return found.status < _SERVER_ERROR and found.status not in _TEMPORARY_REFUSALS

    def _limit_links(self, visit: PageVisit) -> PageVisit:
        """Return a visit that shares the texts of its links with other pages; links over the limit are left out."""
        links = self._links
        room = _MAX_LINKS - len(links)
        shared = []
        for link in visit.links:
            if link not in links and room > 0:
                links[link] = link
                room -= 1
            if link in links:
                shared.append(links[link])
        return replace(visit, links=tuple(shared))

    def _queue_links(self, visit: PageVisit) -> None:
        if self.follow_links:
            self.frontier.add_pages(visit.links)
        if visit.canonical is not None:
            self.frontier.add_pages([visit.canonical])

    def _is_listed(self, document: str, visit: PageVisit) -> bool:
        if not visit.index:
            return False
        canonical = self.site.document_id(visit.canonical) if visit.canonical is not None else document
        if canonical not in {document, "/"}:  # many pages name the start page as canonical by mistake
            self._aliases.append((document, visit, canonical))
            return False
        path, query, _ = document.partition("?")
        if query and (path, visit.version) in self._seen_versions:
            return False  # the same page with a query that changes nothing
        self._seen_versions.add((path, visit.version))
        return True
