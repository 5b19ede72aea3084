"""What sites ask of robots, asked for once an hour.

Kvasir obeys robots.txt whoever asks: a link that a person wrote is read by a program all the same, and one rule is
what a site's owner can rely on. ``Crawl-delay`` is for crawlers: a question reads a handful of pages.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

from knowledge.errors import FetchError, FetchFailed, FetchRefused, FetchTooLarge
from knowledge.web.crawling.robots import RobotsRules
from knowledge.web.crawling.single_flight import SingleFlight
from knowledge.web.http.fetch import Fetcher, FetchOptions
from knowledge.web.http.guard import Target, check_domain

_KEPT_S: Final = 3_600.0
_BROKEN_S: Final = 30.0
_MOST = 500
_OK, _TOO_MANY = 200, 429
_GONE = range(400, 500)
_Known = tuple[str, frozenset[str]]
"""An origin, and the sites that may be asked to learn of its rules."""


class RobotsPolicy:
    """Knows each origin's robots.txt for an hour; safe from several tasks."""

    def __init__(self, fetcher: Fetcher, now: Callable[[], float]) -> None:
        self._fetcher = fetcher
        self._now = now
        self._known: OrderedDict[_Known, tuple[float, RobotsRules | FetchError]] = OrderedDict()
        self._flights: SingleFlight[RobotsRules] = SingleFlight()

    async def check(self, target: Target, only: frozenset[str] = frozenset()) -> None:
        """Say no to a page that its site does not want to be read, or that is on none of the sites in ``only``.

        Raises:
            FetchRefused: its robots.txt does not allow it, or it lies elsewhere.
            FetchError: there is a robots.txt that cannot be read, so that nothing is allowed (RFC 9309).

        """
        check_domain(target.host, only)
        key = target.origin, only
        until, known = self._known.get(key, (0.0, None))
        if known is None or self._now() >= until:
            known = await self._flights.join(key, lambda: self._learn(key))
        if isinstance(known, FetchError):
            raise known.with_traceback(None)
        if not known.allows(target.url):
            raise FetchRefused("its robots.txt does not allow it")

    async def _learn(self, key: _Known) -> RobotsRules:
        try:
            robots = await self._fetched(*key)
        except FetchError as error:
            self._keep(key, error, _BROKEN_S)
            raise
        self._keep(key, robots, _KEPT_S)
        return robots

    def _keep(self, key: _Known, known: RobotsRules | FetchError, seconds: float) -> None:
        self._known[key] = (self._now() + seconds, known)
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    async def _fetched(self, origin: str, only: frozenset[str]) -> RobotsRules:
        try:
            found = await self._fetcher.fetch(f"{origin}/robots.txt", FetchOptions(may=partial(_lies_within, only)))
        except FetchTooLarge:
            raise FetchFailed("its robots.txt is far too large") from None
        if found.status == _OK:
            return await asyncio.to_thread(RobotsRules, found.data)  # of thousands of rules, it takes half a second
        if found.status not in _GONE or found.status == _TOO_MANY:
            raise FetchFailed(f"its robots.txt answers {found.status}")
        return RobotsRules()


async def _lies_within(only: frozenset[str], target: Target) -> None:
    check_domain(target.host, only)
