"""The robots policy of the crawler and of the live web: load robots.txt, and obey it.

A link that a person wrote is read by a program all the same, so robots.txt applies to it too. ``Crawl-delay`` applies
to crawlers only, because a question reads a handful of pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from knowledge.errors import FetchError, FetchFailed, FetchRefused, FetchTooLarge
from knowledge.web.crawling.expiring_cache import ExpiringCache
from knowledge.web.crawling.robots import RobotsRules
from knowledge.web.crawling.single_flight import SingleFlight
from knowledge.web.http.fetch import FetchedResponse, FetchOptions
from knowledge.web.http.guard import Target, check_domain

FetchUrl = Callable[[str, FetchOptions], Awaitable[FetchedResponse]]
"""``Fetcher.fetch``, or ``HostClient.fetch``, which waits and retries."""

_RULES_LIFETIME_S: Final = 3_600.0
_FAILURE_LIFETIME_S: Final = 30.0
_MAX_ORIGINS: Final = 500
_OK, _TOO_MANY_REQUESTS = 200, 429
_CLIENT_ERRORS = range(400, 500)
_OriginKey = tuple[str, frozenset[str]]
"""An origin, and the domains to which its robots.txt may redirect."""


class RobotsPolicy:
    """Load the robots.txt of each origin and cache it for an hour. Safe to share between tasks."""

    def __init__(
        self, fetch: FetchUrl, now: Callable[[], float], parse: Callable[[bytes], RobotsRules] = RobotsRules
    ) -> None:
        self._fetch = fetch
        self._parse = parse
        self._cache: ExpiringCache[_OriginKey, RobotsRules | FetchError] = ExpiringCache(_MAX_ORIGINS, now)
        self._loads: SingleFlight[RobotsRules] = SingleFlight()

    async def check_page(self, target: Target, allowed_domains: frozenset[str] = frozenset()) -> None:
        """Refuse a page outside of the allowed domains, or one that its site's robots.txt disallows.

        Raises:
            FetchRefused: the page is disallowed, or lies elsewhere.
            FetchError: the robots.txt cannot be read, so nothing is allowed (RFC 9309).

        """
        check_domain(target.host, allowed_domains)
        rules = await self.load_rules(target.origin, allowed_domains)
        if not rules.allows_url(target.url):
            raise FetchRefused("its robots.txt does not allow it")

    async def load_rules(self, origin: str, allowed_domains: frozenset[str] = frozenset()) -> RobotsRules:
        """Return the rules of an origin; a site without a robots.txt allows everything.

        Raises:
            FetchError: the robots.txt cannot be read, so nothing is allowed (RFC 9309).

        """
        key = origin, allowed_domains
        cached = self._cache.get_value(key) or await self._loads.run(key, lambda: self._fetch_and_cache(key))
        if isinstance(cached, FetchError):
            raise cached.with_traceback(None)
        return cached

    async def _fetch_and_cache(self, key: _OriginKey) -> RobotsRules:
        try:
            rules = await self._fetch_rules(*key)
        except FetchError as error:
            self._cache.store_value(key, error, _FAILURE_LIFETIME_S)
            raise
        self._cache.store_value(key, rules, _RULES_LIFETIME_S)
        return rules

    async def _fetch_rules(self, origin: str, allowed_domains: frozenset[str]) -> RobotsRules:
        options = FetchOptions(check_target=partial(_check_domain, allowed_domains))
        try:
            response = await self._fetch(f"{origin}/robots.txt", options)
        except FetchTooLarge:
            raise FetchFailed("its robots.txt is far too large") from None
        if response.status == _OK:
            # Parsing thousands of rules takes half a second.
            return await asyncio.to_thread(self._parse, response.data)
        if response.status not in _CLIENT_ERRORS or response.status == _TOO_MANY_REQUESTS:
            raise FetchFailed(f"its robots.txt answers {response.status}")
        return RobotsRules()


async def _check_domain(allowed_domains: frozenset[str], target: Target) -> None:
    check_domain(target.host, allowed_domains)
