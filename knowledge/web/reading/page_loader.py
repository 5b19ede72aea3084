"""Read web pages: from the cache if fresh, else from the site, else an old copy."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from knowledge.errors import FetchBadStatus, FetchError, FetchFailed, FetchTimeout, FetchUnreadable
from knowledge.interfaces import Document
from knowledge.web.crawling.expiring_cache import ExpiringCache
from knowledge.web.crawling.robots_policy import RobotsPolicy
from knowledge.web.crawling.single_flight import SingleFlight
from knowledge.web.http.fetch import FetchedResponse, Fetcher, FetchOptions, Redirect, redact_url
from knowledge.web.http.guard import Target, check_domain, check_linked_url, check_url, leads_to_private_host
from knowledge.web.reading.article import Article
from knowledge.web.reading.article_loader import READABLE_TYPES, ArticleLoader
from knowledge.web.reading.freshness import (
    CACHING_HEADERS,
    CachedResponse,
    apply_not_modified,
    build_revalidation_headers,
    is_cacheable,
    is_fresh,
    may_serve_stale,
)
from knowledge.web.reading.page_cache import CachedPage, PageCache

_log = logging.getLogger(__name__)

_OPTIONS: Final = FetchOptions(accept=READABLE_TYPES)
_OK, _NOT_MODIFIED, _GONE, _TOO_MANY_REQUESTS, _SERVER_ERROR = 200, 304, (404, 410), 429, 500
_MAX_REDIRECTS: Final = 5
"""Cached redirects that are followed."""
_FAIR_TIME_S: Final = 5.0
"""A page that times out after at least this long is not tried again at once."""
_SITE_FAILURE_S: Final = 30.0
"""A site that fails may be back soon."""
_REFUSAL_S: Final = 300.0
"""A page that is missing, forbidden or without text seldom changes within minutes."""
_MAX_FAILURES: Final = 2_000


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page that was read."""

    url: str
    final_url: str
    """The URL after redirects, in normal form."""
    canonical: str | None
    """The address that the page states; unchecked."""
    title: str
    author: str | None
    published: datetime | None
    """The date that the page states, in UTC."""
    document: Document = field(repr=False)
    text: str = field(repr=False)
    """The same as one text, with Markdown headings."""
    fetched_at: datetime
    """When this copy was fetched or revalidated; in UTC."""
    stale: bool
    """Whether it is an old copy, because the site does not answer."""
    status: int


@dataclass(frozen=True, slots=True)
class _CachedTrail:
    """Where the cached responses lead from a URL."""

    request: Target
    """The first URL without a fresh copy, which the site is asked for."""
    copy: CachedPage | None = None
    is_fresh: bool = False
    """Whether the copy may be used without asking the site."""
    may_serve_stale: bool = False
    """Whether the copy may be used if the site fails."""


_PageKey = tuple[str, frozenset[str]]
"""A URL, and the only domains to which it may lead."""


class PageLoader:
    """Reads web pages. Safe to share between tasks of one loop; usable again after a close.

    Args:
        fetcher: fetches pages; its rules apply to cached pages too.
        cache: stores pages, and is closed together with this; None stores nothing.
        now: returns seconds since the epoch.

    """

    def __init__(
        self, fetcher: Fetcher, cache: PageCache | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._now = now
        self._request_headers = {name.lower(): value for name, value in fetcher.build_headers(_OPTIONS).items()}
        self._articles = ArticleLoader()
        self._robots_policy = RobotsPolicy(fetcher.fetch, now)
        self._loads: SingleFlight[CachedPage] = SingleFlight()
        self._failures: ExpiringCache[_PageKey, FetchError] = ExpiringCache(_MAX_FAILURES, now)

    async def read_page(self, url: str, *, within_s: float, allowed_domains: frozenset[str] = frozenset()) -> WebPage:
        """Return a page: a fresh copy, the site's current page, or an old copy if the site fails.

        Kvasir sends requests to the allowed domains only (empty: any that the fetcher's rules allow).

        Raises:
            FetchRefused: the guard or robots.txt refuses it, or it lies or leads outside of the allowed domains.
            FetchUnreadable: the page has no text to read.
            FetchAnswered: the site answers with an error status.
            FetchError: any other failure to fetch.

        """
        target = check_url(url, self._fetcher.rules)
        check_domain(target.host, allowed_domains)
        trail = _CachedTrail(target)
        key = target.url, allowed_domains
        try:
            async with asyncio.timeout(within_s):
                trail = await self._follow_cached(target, allowed_domains)
                if trail.copy is not None and trail.is_fresh:
                    return _build_page(url, trail.copy, stale=False)
                return _build_page(url, await self._load_once(key, trail), stale=False)
        except TimeoutError:
            error: FetchError = FetchTimeout(f"it took over {within_s:g} s")
            if within_s >= _FAIR_TIME_S:
                self._remember_failure(key, error)
        except FetchError as caught:
            error = caught
        if trail.copy is not None and trail.may_serve_stale and _is_site_failure(error):
            return _build_page(url, trail.copy, stale=True)
        raise error.with_traceback(None) from error.__cause__

    async def close(self) -> None:
        """Stop the parsing processes and close the cache; safe to call twice."""
        await self._articles.close()
        if self._cache is not None:
            await self._cache.close()

    # ── The cache ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow_cached(self, target: Target, allowed_domains: frozenset[str]) -> _CachedTrail:
        """Follow cached responses from a URL, and check each of their URLs again.

        Raises:
            FetchRefused: the guard refuses one of them.

        """
        request: Target | None = None
        serves_stale = True
        for _ in range(_MAX_REDIRECTS + 1):
            page = await self._get_cached(target)
            if page is None:
                break
            fresh = is_fresh(page.response, self._request_headers, self._now())
            request = request or (None if fresh else target)
            serves_stale = serves_stale and (
                fresh or may_serve_stale(page.response, self._request_headers, self._now())
            )
            if page.response.redirect_url is None:
                return _CachedTrail(request or target, page, is_fresh=request is None, may_serve_stale=serves_stale)
            target = check_linked_url(page.response.redirect_url, target, self._fetcher.rules)
            check_domain(target.host, allowed_domains)
        return _CachedTrail(request or target)

    async def _get_cached(self, target: Target) -> CachedPage | None:
        page = await self._cache.get_page(target.url) if self._cache is not None else None
        # A page from a private host is not shown once the operator no longer lists that host.
        if page is None or not page.from_private_host or self._fetcher.rules.is_private_host(target.host):
            return page
        return None

    async def _store_pages(self, pages: list[CachedPage]) -> None:
        if self._cache is None:
            return
        cacheable = [page for page in pages if is_cacheable(page.response)]
        await self._cache.store_pages(cacheable, delete=[page.response.url for page in pages])

    def _build_cached_page(self, response: FetchedResponse | Redirect, article: Article | None) -> CachedPage:
        headers = {name: value for name, value in response.headers.items() if name in CACHING_HEADERS}
        redirect_url = response.target_url if isinstance(response, Redirect) else None
        cached = CachedResponse(
            response.url, response.status, headers, self._request_headers, self._now(), redirect_url
        )
        return CachedPage(cached, article, leads_to_private_host(response.url, self._fetcher.rules))

    # ── The site ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _load_once(self, key: _PageKey, trail: _CachedTrail) -> CachedPage:
        failure = self._failures.get_value(key)
        if failure is not None:
            raise failure
        return await self._loads.run(key, lambda: self._load_page(key, trail))

    def _remember_failure(self, key: _PageKey, error: FetchError) -> None:
        lifetime_s = _SITE_FAILURE_S if _is_site_failure(error) else _REFUSAL_S
        self._failures.store_value(key, error.with_traceback(None), lifetime_s)

    async def _load_page(self, key: _PageKey, trail: _CachedTrail) -> CachedPage:
        url, allowed_domains = key
        try:
            return await self._fetch_page(trail, allowed_domains)
        except FetchError as error:
            self._remember_failure(key, error)
            if isinstance(error, (FetchBadStatus, FetchUnreadable)):
                _log.info("page not readable: %s (%s)", redact_url(url), error.reason)
            raise

    async def _fetch_page(self, trail: _CachedTrail, allowed_domains: frozenset[str]) -> CachedPage:
        check = partial(self._robots_policy.check_page, allowed_domains=allowed_domains)
        options = FetchOptions(READABLE_TYPES, check_target=check)
        url = trail.request.url
        copy = trail.copy if trail.copy is not None and trail.copy.response.url == url else None
        conditions = (
            {} if copy is None else build_revalidation_headers(copy.response, self._request_headers, self._now())
        )
        response = await self._fetcher.fetch(url, replace(options, conditional_headers=conditions))
        if response.status == _NOT_MODIFIED and copy is not None:
            revalidated = None
            if not response.redirects:
                revalidated = apply_not_modified(copy.response, response.headers, self._request_headers, self._now())
            if revalidated is not None:
                page = CachedPage(revalidated, copy.article, copy.from_private_host)
                await self._store_pages([page])
                return page
            response = await self._fetcher.fetch(url, options)
        return await self._read_response(response)

    async def _read_response(self, response: FetchedResponse) -> CachedPage:
        if response.status != _OK:
            if response.status in _GONE and self._cache is not None:
                await self._cache.store_pages(delete=[response.url])
            raise FetchBadStatus(response.status)
        page = self._build_cached_page(response, await self._articles.read_article(response))
        await self._store_pages([*(self._build_cached_page(redirect, None) for redirect in response.redirects), page])
        return page


def _is_site_failure(error: FetchError) -> bool:
    """Return whether the site itself failed, so that nothing is known of the page."""
    if isinstance(error, FetchBadStatus):
        return error.status >= _SERVER_ERROR or error.status == _TOO_MANY_REQUESTS
    return isinstance(error, (FetchFailed, FetchTimeout))


def _build_page(url: str, page: CachedPage, *, stale: bool) -> WebPage:
    article: Article = page.article or Article("", ())
    document = Document(article.title, article.sections)
    return WebPage(
        url=url,
        final_url=page.response.url,
        canonical=article.canonical,
        title=article.title,
        author=article.author,
        published=article.published,
        document=document,
        text=render_text(document),
        fetched_at=datetime.fromtimestamp(page.response.received_at, UTC),
        stale=stale,
        status=page.response.status,
    )


def render_text(document: Document) -> str:
    """Return a document as one text, each section below its Markdown headings."""
    parts: list[str] = []
    previous: tuple[str, ...] = ()
    for section in document.sections:
        common = next(
            (n for n, pair in enumerate(zip(previous, section.headings, strict=False)) if pair[0] != pair[1]),
            min(len(previous), len(section.headings)),
        )
        parts += [f"{'#' * level} {name}" for level, name in enumerate(section.headings[common:], common + 2)]
        parts.append(section.text)
        previous = section.headings
    return "\n\n".join(part for part in parts if part)
