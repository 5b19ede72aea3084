"""Pages of the web as something to read: politely asked for, taken apart, and kept for the next one who asks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from knowledge.errors import FetchAnswered, FetchError, FetchTimeout, FetchUnreadable
from knowledge.interfaces import Document
from knowledge.web.crawling.robots_policy import RobotsPolicy
from knowledge.web.crawling.single_flight import SingleFlight
from knowledge.web.http.fetch import FetchedResponse, Fetcher, FetchOptions, Redirect, redact_url
from knowledge.web.http.guard import Target, check_domain
from knowledge.web.reading.article import Article
from knowledge.web.reading.article_reader import READABLE_TYPES, ArticleReader
from knowledge.web.reading.failure_cache import FailureCache, is_site_failure
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

_ASK: Final = FetchOptions(accept=READABLE_TYPES)
_OK, _UNCHANGED, _GONE = 200, 304, (404, 410)
_MAX_REDIRECTS: Final = 5
"""Redirects that are followed from one kept response to the next."""
_FAIR_TIME_S: Final = 5.0
"""A page that did not come within so long is not tried again at once."""


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page as it was read."""

    url: str
    """As it was asked for."""
    final_url: str
    """Where it was in the end, in the one spelling that is dialled."""
    canonical: str | None
    """Where the page says that it is; its word alone."""
    title: str
    author: str | None
    published: datetime | None
    """As the page says; aware, UTC."""
    document: Document = field(repr=False)
    """The main text in its sections."""
    text: str = field(repr=False)
    """The same as one text, with headings as Markdown writes them."""
    fetched_at: datetime
    """When this copy was fetched, or was last found to be as it was; aware, UTC."""
    stale: bool
    """Whether it is an old copy, shown because the site does not answer."""
    status: int


@dataclass(frozen=True, slots=True)
class _CachedTrail:
    """Where the kept responses lead from a URL."""

    ask: Target
    """What the site is to be asked for: the first URL of which there is no fresh copy."""
    copy: CachedPage | None = None
    """The page at the end."""
    fresh: bool = False
    """Whether the copy may be used as it is."""
    may_stand_in: bool = False
    """Whether it may be used where the site fails."""


_PageKey = tuple[str, frozenset[str]]
"""A URL, and the sites to which alone it may lead."""


class PageReader:
    """Reads pages of the web. Safe from several tasks of one loop; usable again after a close.

    Args:
        fetcher: asks; its rules judge what was kept, too.
        cache: keeps what was read, and is closed with this; None keeps nothing.
        now: seconds since the epoch.

    """

    def __init__(
        self, fetcher: Fetcher, cache: PageCache | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._now = now
        self._asked = {name.lower(): value for name, value in fetcher.headers(_ASK).items()}
        self._articles = ArticleReader()
        self._permission = RobotsPolicy(fetcher, now)
        self._flights: SingleFlight[CachedPage] = SingleFlight()
        self._failures = FailureCache()

    async def read(self, url: str, *, within_s: float, only: frozenset[str] = frozenset()) -> WebPage:
        """Read one page: a fresh copy, what the site has, or an old copy where the site fails.

        Nothing but the sites in ``only`` is asked for anything (none: any that the fetcher's rules allow).

        Raises:
            FetchRefused: the guard or the site's robots.txt says no, or it is none of those sites, or leads elsewhere.
            FetchUnreadable: there is no text on it for us.
            FetchAnswered: the site answers with a status that is no page.
            FetchError: another of its kinds.

        """
        target = self._fetcher.judge(url)
        check_domain(target.host, only)
        trail = _CachedTrail(target)
        wanted = target.url, only
        try:
            async with asyncio.timeout(within_s):
                trail = await self._trail(target, only)
                if trail.copy is not None and trail.fresh:
                    return _build_page(url, trail.copy, stale=False)
                return _build_page(url, await self._looked(wanted, trail), stale=False)
        except TimeoutError:
            error: FetchError = FetchTimeout(f"it took over {within_s:g} s")
            if within_s >= _FAIR_TIME_S:
                self._failures.add(wanted, error, self._now())
        except FetchError as caught:
            error = caught
        if trail.copy is not None and trail.may_stand_in and is_site_failure(error):
            return _build_page(url, trail.copy, stale=True)
        raise error.with_traceback(None) from error.__cause__

    async def close(self) -> None:
        """End the parsing processes and close the cache; safe to call twice."""
        await self._articles.close()
        if self._cache is not None:
            await self._cache.close()

    # ── What is kept ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _trail(self, target: Target, only: frozenset[str]) -> _CachedTrail:
        """Follow kept responses from a URL; each on the way is judged anew, as redirects are.

        Raises:
            FetchRefused: the guard says no to one of them.

        """
        ask: Target | None = None
        may_stand = True
        for _ in range(_MAX_REDIRECTS + 1):
            kept = await self._kept(target)
            if kept is None:
                break
            fresh = is_fresh(kept.answer, self._asked, self._now())
            ask = ask or (None if fresh else target)
            may_stand = may_stand and (fresh or may_serve_stale(kept.answer, self._asked, self._now()))
            if kept.answer.to is None:
                return _CachedTrail(ask or target, kept, fresh=ask is None, may_stand_in=may_stand)
            target = self._fetcher.judge_led(kept.answer.to, target)
            check_domain(target.host, only)
        return _CachedTrail(ask or target)

    async def _kept(self, target: Target) -> CachedPage | None:
        kept = await self._cache.get(target.url) if self._cache is not None else None
        # What a name brought while it might be at a private address is not shown once it may not.
        return kept if kept is None or not kept.named or self._fetcher.names(target.host) else None

    async def _keep(self, kept: list[CachedPage]) -> None:
        if self._cache is None:
            return
        allowed = [one for one in kept if is_cacheable(one.answer)]
        await self._cache.put(allowed, gone=[one.answer.url for one in kept])

    def _as_kept(self, came: FetchedResponse | Redirect, article: Article | None) -> CachedPage:
        told = {name: value for name, value in came.headers.items() if name in CACHING_HEADERS}
        to = came.to if isinstance(came, Redirect) else None
        answer = CachedResponse(came.url, came.status, told, self._asked, self._now(), to)
        return CachedPage(answer, article, self._fetcher.names(self._fetcher.judge(came.url).host))

    # ── What the site has ────────────────────────────────────────────────────────────────────────────────────────────

    async def _looked(self, wanted: _PageKey, trail: _CachedTrail) -> CachedPage:
        failed = self._failures.get(wanted, self._now())
        if failed is not None:
            raise failed
        return await self._flights.join(wanted, lambda: self._look(wanted, trail))

    async def _look(self, wanted: _PageKey, trail: _CachedTrail) -> CachedPage:
        url, only = wanted
        try:
            return await self._fetched(trail, only)
        except FetchError as error:
            self._failures.add(wanted, error, self._now())
            if isinstance(error, (FetchAnswered, FetchUnreadable)):
                _log.info("not read: %s (%s)", redact_url(url), error.reason)
            raise

    async def _fetched(self, trail: _CachedTrail, only: frozenset[str]) -> CachedPage:
        ask = FetchOptions(READABLE_TYPES, may=partial(self._permission.check, only=only))
        copy = trail.copy if trail.copy is not None and trail.copy.answer.url == trail.ask.url else None
        told = {} if copy is None else build_revalidation_headers(copy.answer, self._asked, self._now())
        found = await self._fetcher.fetch(trail.ask.url, replace(ask, conditions=told))
        if found.status == _UNCHANGED and copy is not None:
            same = apply_not_modified(copy.answer, found.headers, self._asked, self._now()) if not found.hops else None
            if same is not None:
                kept = CachedPage(same, copy.article, copy.named)
                await self._keep([kept])
                return kept
            found = await self._fetcher.fetch(trail.ask.url, ask)
        return await self._taken(found)

    async def _taken(self, found: FetchedResponse) -> CachedPage:
        if found.status != _OK:
            if found.status in _GONE and self._cache is not None:
                await self._cache.put(gone=[found.url])
            raise FetchAnswered(found.status)
        page = self._as_kept(found, await self._articles.article(found))
        await self._keep([*(self._as_kept(hop, None) for hop in found.hops), page])
        return page


def _build_page(url: str, kept: CachedPage, *, stale: bool) -> WebPage:
    article: Article = kept.article or Article("", ())
    document = Document(article.title, article.sections)
    return WebPage(
        url=url,
        final_url=kept.answer.url,
        canonical=article.canonical,
        title=article.title,
        author=article.author,
        published=article.published,
        document=document,
        text=render_text(document),
        fetched_at=datetime.fromtimestamp(kept.answer.received_at, UTC),
        stale=stale,
        status=kept.answer.status,
    )


def render_text(document: Document) -> str:
    """Return a document as one text, each section after its headings as Markdown writes them."""
    parts: list[str] = []
    before: tuple[str, ...] = ()
    for section in document.sections:
        same = next(
            (n for n, pair in enumerate(zip(before, section.headings, strict=False)) if pair[0] != pair[1]),
            min(len(before), len(section.headings)),
        )
        parts += [f"{'#' * level} {name}" for level, name in enumerate(section.headings[same:], same + 2)]
        parts.append(section.text)
        before = section.headings
    return "\n\n".join(part for part in parts if part)
