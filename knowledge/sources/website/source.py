"""A website as a source: the pages below a URL, found through its sitemaps and links."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from knowledge.dates import parse_iso_date
from knowledge.errors import (
    FetchError,
    FetchRefused,
    FetchTooLarge,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from knowledge.interfaces import DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.path_filter import compile_exclusion, compile_path_filter
from knowledge.sources.common import MAX_MB, config_error, parse_size_limit, too_large_error, with_heartbeats
from knowledge.sources.memory import load_state, save_state
from knowledge.sources.registry import SourceKind
from knowledge.sources.web_pages import (
    DOCUMENT_TYPES,
    OWN_NETWORK_HINT,
    TOO_LARGE,
    BodySpool,
    PageVisit,
    page_content,
    read_visit,
    unreachable_error,
)
from knowledge.sources.website.crawl import CLOSED, Crawl, SiteDown
from knowledge.sources.website.crawl_memory import (
    STATE_VERSION,
    decode_visits,
    encode_visits,
    find_interrupted_crawl,
)
from knowledge.sources.website.frontier import Frontier
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.crawling.host_client import (
    ACCESS_DENIED_STATUSES,
    POSSIBLY_GONE_STATUSES,
    HostClient,
    RequestSpacing,
    strip_query,
)
from knowledge.web.http.domains import extract_host
from knowledge.web.http.fetch import FetchedResponse, Fetcher, FetchOptions
from knowledge.web.http.guard import AccessRules, build_rules, check_url, list_reachable
from knowledge.web.reading.crawled_page import LOGIN_REQUIRED, is_login_url
from knowledge.web.reading.site_parser import SiteParser
from knowledge.web.reading.sitemap import MAX_SITEMAP_BYTES, SITEMAP_TYPES
from knowledge.web.reading.sitemap_walk import SitemapWalk

_DELAY_S = 0.5
"""Seconds between two requests to a host outside the company's network."""
_PAGE_S = 120.0
_SAVE_EVERY_S = 30.0
_RESUMABLE_S = 86_400.0
"""How long after its start an interrupted crawl can be resumed."""
_OK = 200


@dataclass(frozen=True, slots=True)
class WebsiteOptions:
    """The keys of a ``[[source]]`` of kind ``website``."""

    url: str
    """The start page; everything below it belongs to the source."""
    sitemap: str | None = None
    """The sitemap's URL; by default, the one in robots.txt, else ``/sitemap.xml``."""
    links: bool = True
    """Whether to follow links; otherwise only the start page and the sitemap count."""
    max_pages: int = 5_000
    """The limit of a crawl; a larger site causes an error, and nothing is deleted."""
    max_depth: int = 12
    """The most links from the start page or the sitemap to a page."""
    include: tuple[str, ...] = ()
    """Pages that become documents, by patterns (``compile_path_filter``); other pages only provide links."""
    exclude: tuple[str, ...] = ()
    """Pages that are not visited at all."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts of the company's own network, which may have private addresses: ``host`` or ``host:port``."""
    robots: bool = True
    """Whether to obey robots.txt; only the owner of a site may turn it off."""
    delay_s: float | None = None
    """Seconds between two requests: by default 0.5, none for ``allow_hosts``, more if robots.txt asks for it."""
    contact: str | None = None
    """How the site's owner reaches the operator: part of the User-Agent."""
    authorization_env: str | None = None
    """The variable with the value of an ``Authorization`` header, which only this site receives."""
    max_mb: float = MAX_MB


class WebsiteSource:
    """Lists and reads the pages of a site, and the PDF, Office and text files to which it links.

    A page's version is a hash of its text. Each listing asks for every page; the server sends no body for an unchanged
    one. Fetched bodies stay on disk until they are read. For a day, the next crawl resumes one that a deadline or a
    crash interrupted, and does not fetch its pages again.
    """

    def __init__(
        self, key: SourceKey, context: SourceContext, options: WebsiteOptions, site: Site, allowed: AccessRules
    ) -> None:
        self.key = key
        self._context = context
        self._memory = context.memory(key)
        self._options = options
        self._site = site
        self._max_bytes = parse_size_limit(context.name, options.max_mb)
        web = replace(context.web, contact=options.contact or context.web.contact)
        self._fetcher = Fetcher(web, allowed)
        self._ask = FetchOptions(
            accept=DOCUMENT_TYPES,
            authorization=context.secrets.get("authorization"),
            limits=replace(web.limits, total_s=_PAGE_S, wire_bytes=self._max_bytes, body_bytes=self._max_bytes),
        )
        own = allowed.is_private_host(urlsplit(options.url).hostname or "")
        delay_s = options.delay_s if options.delay_s is not None else (0.0 if own else _DELAY_S)
        self._host = HostClient(self._fetcher, RequestSpacing(delay_s, context.sleep, context.now), context.now)
        self._reader = SiteParser()
        self._spool = BodySpool(context.state_dir / "spool")
        self._is_interrupted = False
        self._visits: Mapping[str, PageVisit] = {}

    def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the pages as they are found.

        Raises:
            SourceUnavailable: the start page or robots.txt does not answer.
            SourceDenied: the site wants a login, or forbids robots.
            SourceError: some pages did not answer, or there are more than ``max_pages``; the others were listed.

        """
        return with_heartbeats(self._list_pages())

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one page from its listing, or fetch it again.

        Raises:
            SourceError: the page is gone, too large, or has no text.

        """
        visit = self._visits.get(listed.document)
        data = self._spool.read_body(listed.document, listed.version)
        if visit is None or visit.version != listed.version or (data is None and visit.unreadable is None):
            visit, data = await self._fetch_again(listed)
        if visit.unreadable is not None:
            raise self._unreadable_error(listed.document, visit.unreadable)
        return page_content(visit, data or b"")

    async def close(self) -> None:
        """Close the connections, and delete fetched bodies unless the next crawl resumes this one."""
        self._visits = {}
        if not self._is_interrupted:
            await asyncio.to_thread(self._spool.delete_bodies)
        await self._reader.close()
        await self._fetcher.close()

    # ── Listing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _list_pages(self) -> AsyncGenerator[Sequence[ListedDocument], None]:
        self._visits = {}
        now = self._context.now()
        state = await load_state(self._memory, STATE_VERSION)
        visits, begun = decode_visits(state), find_interrupted_crawl(state, now - _RESUMABLE_S, now)
        await asyncio.to_thread(self._spool.delete_bodies if begun is None else self._spool.measure_bodies)
        self._is_interrupted = begun is not None
        if self._options.robots:
            try:
                await self._host.load_robots(self._site.origin)
            except FetchError as error:
                raise unreachable_error(self._options.url, error) from None
        site, here = await self._open_start_page()
        excludes = compile_exclusion(self._options.exclude)
        frontier = Frontier(
            site, lambda page: not excludes(page), max_pages=self._options.max_pages, max_depth=self._options.max_depth
        )
        crawl = Crawl(
            site=site, host=self._host, frontier=frontier, previous=visits, spool=self._spool, reader=self._reader,
            now=now, ask=self._ask, max_bytes=self._max_bytes, start_url=self._options.url,
            follow_links=self._options.links, fetched_pages=here, resume_from=math.inf if begun is None else begun,
        )  # fmt: skip
        self._visits = crawl.visits
        limits = replace(
            self._context.web.limits, total_s=_PAGE_S, wire_bytes=MAX_SITEMAP_BYTES, body_bytes=MAX_SITEMAP_BYTES
        )
        sitemap_ask = FetchOptions(accept=SITEMAP_TYPES, authorization=self._ask.authorization, limits=limits)
        dates, broken = await SitemapWalk(
            site, self._host, self._reader, sitemap_ask, self._options.sitemap
        ).list_pages()
        frontier.add_pages([site.normalize_link(self._options.url, "") or f"{site.origin}{site.prefix}"], dates={})
        frontier.add_pages(dates, dates=dates)
        takes = compile_path_filter(self._options.include)
        self._is_interrupted, noted = True, now
        try:
            async with aclosing(crawl.iterate_pages()) as found:
                async for pages in found:
                    yield [self._make_listed(*page) for page in pages if takes(page[0])]
                    if self._context.now() >= noted + _SAVE_EVERY_S:
                        await self._save_visits({**visits, **crawl.visits}, begun=now if begun is None else begun)
                        noted = self._context.now()
        except SiteDown:
            broken = broken or "the site no longer answers"
        await self._save_visits({**(visits if crawl.lost_pages else {}), **crawl.visits})
        self._is_interrupted = False
        self._check_completeness(crawl, frontier, broken)

    async def _save_visits(self, visits: Mapping[str, PageVisit], begun: float | None = None) -> None:
        """Save visits; ``begun`` is the start of the crawl if it is not finished."""
        state = await asyncio.to_thread(encode_visits, visits, begun)
        await save_state(self._memory, STATE_VERSION, state)

    async def _open_start_page(self) -> tuple[Site, Mapping[str, FetchedResponse]]:
        """Fetch the start page; return the site at the address to which it redirects, and the page.

        Raises:
            SourceUnavailable, SourceDenied: the start page cannot be fetched.

        """
        url = self._options.url
        if not self._host.robots.allows_url(url):
            raise SourceDenied(
                f"The robots.txt of {self._display_url} forbids the start page to robots. Ask the site's owner, "
                "or set robots = false if it is your own site."
            )
        try:
            found = await self._host.fetch(url, replace(self._ask, accept=None))
        except FetchTooLarge:
            return self._site, {}  # the start page is too large to be read
        except FetchError as error:
            raise unreachable_error(url, error) from None
        if found.status in ACCESS_DENIED_STATUSES or (is_login_url(found.url) and not is_login_url(url)):
            raise SourceDenied(
                f"{self._display_url} asks for a login. Name a variable with credentials in authorization_env, or "
                "remove the source from kvasir.toml."
            )
        if found.status != _OK:
            raise SourceUnavailable(
                f"The start page of {self._display_url} answers {found.status}. Check that the address is right; "
                "until then Kvasir deletes nothing of this source."
            )
        site = self._resolve_site(found)
        address = site.normalize_link(self._options.url, "")
        return site, {address: found} if address and found.media_type in DOCUMENT_TYPES else {}

    def _resolve_site(self, found: FetchedResponse) -> Site:
        if not found.redirects:
            return self._site
        there = Site.from_url(found.url)
        twins = {host.removeprefix("www.") for host, _ in self._site.hosts | there.hosts}
        if len(twins) > 1 or not there.prefix.startswith(self._site.prefix):
            raise SourceUnavailable(
                f"{self._display_url} redirects to {there.origin}{there.prefix}. "
                "Put that address into the key url of the source."
            )
        return Site(there.origin, self._site.hosts | there.hosts, self._site.prefix)

    def _make_listed(self, document: str, visit: PageVisit, sitemap_date: str | None) -> ListedDocument:
        closed = visit.unreadable in {LOGIN_REQUIRED, CLOSED}
        return ListedDocument(
            document=document,
            version=visit.version,
            size_bytes=visit.size_bytes,
            modified_at=visit.modified_at or parse_iso_date(sitemap_date or ""),
            url=visit.address,
            # Nobody sees the old content of a closed page until it can be read again.
            readers=frozenset() if closed else self._context.readers,
        )

    def _check_completeness(self, crawl: Crawl, frontier: Frontier, broken: str | None) -> None:
        """Check that the crawl is complete.

        Raises:
            SourceError: pages or a sitemap did not answer, or there are too many pages.

        """
        if crawl.lost_pages:
            document, reason = min(crawl.lost_pages.items())
            others = f" and {len(crawl.lost_pages) - 1} more pages" if len(crawl.lost_pages) > 1 else ""
            raise SourceError(
                f"{self._display_url}: {document}{others} could not be read ({reason}). Kvasir keeps what it read "
                "before and deletes nothing; the next sync tries again."
            )
        if broken is not None:
            raise SourceError(
                f"{self._display_url}: {broken}. Kvasir deletes nothing of it; the next sync tries again."
            )
        if frontier.is_cut:
            raise SourceError(
                f"{self._display_url} has more than {self._options.max_pages} pages; Kvasir did not read the others. "
                "Raise the key max_pages, or leave pages out with exclude."
            )

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _fetch_again(self, listed: ListedDocument) -> tuple[PageVisit, bytes]:
        document = listed.document
        try:
            found = await self._host.fetch(listed.url or self._options.url, self._ask)
        except FetchTooLarge:
            raise self._unreadable_error(document, TOO_LARGE) from None
        except FetchError as error:
            raise SourceError(f"{document} could not be read: {error.reason}. The next sync tries again.") from None
        if found.status in POSSIBLY_GONE_STATUSES:
            raise SourceError(f"{document} is gone from the site, or is not public any more.")
        if found.status != _OK:
            raise SourceError(f"{document} could not be read: it answers {found.status}. The next sync tries again.")
        return await read_visit(found, found.url, self._site, self._reader, self._context.now()), found.data

    def _unreadable_error(self, document: str, reason: str) -> SourceError:
        if reason == TOO_LARGE:
            return too_large_error(document, None, self._max_bytes)
        return SourceError(
            f"{document} {reason}, so there is no text to read. Add its text through another source, or exclude "
            "it with exclude."
        )

    @property
    def _display_url(self) -> str:
        return strip_query(self._options.url)


def build(context: SourceContext, options: WebsiteOptions) -> WebsiteSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: the address, a host or a number is invalid.

    """
    try:
        allowed = _build_access_rules(context, options)
        site = Site.from_url(options.url)
        check_url(options.url, allowed)
    except FetchRefused as error:
        raise config_error(context.name, f"url is invalid: {error.reason} ({OWN_NETWORK_HINT})") from None
    except ValueError as error:
        raise config_error(context.name, f"url or allow_hosts is invalid: {error}") from None
    for key, least in (("max_pages", 1), ("max_depth", 0), ("delay_s", 0)):
        value = getattr(options, key)
        if value is not None and not least <= value < math.inf:
            raise config_error(context.name, f"{key} must be {least} or more")
    root = f"{site.origin}{site.prefix}"
    return WebsiteSource(SourceKey(context.name, "website", root), context, options, site, allowed)


def _build_access_rules(context: SourceContext, options: WebsiteOptions) -> AccessRules:
    """Return rules for the hosts of the site, of its configured sitemap and of ``allow_hosts``, with their subdomains.

    Raises:
        ValueError: an entry of ``allow_hosts`` is no host.

    """
    rules = build_rules(options.allow_hosts, context.web.ports)
    named = {extract_host(url).removeprefix("www.") for url in (options.url, options.sitemap or "")}
    return replace(rules, allowed_domains=frozenset({*named, *rules.private_hosts} - {""}))


def list_addresses(context: SourceContext, options: WebsiteOptions) -> Sequence[str]:
    """Return the hosts of the site."""
    return list_reachable(_build_access_rules(context, options))


KIND = SourceKind(WebsiteOptions, build, list_addresses)
