"""One host asked politely: by its robots.txt, at its pace, again when it says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from knowledge.errors import FetchError, FetchFailed, FetchTimeout, FetchTooLarge
from knowledge.web.crawling.retry_policy import parse_retry_after_s
from knowledge.web.crawling.robots import RobotsRules
from knowledge.web.http.fetch import FetchedResponse, Fetcher, FetchOptions

MAX_CONCURRENT_REQUESTS = 2
"""Requests to a host at the same time."""

_MAX_ATTEMPTS = 3
_MAX_WAIT_S = 300.0
_BUSY_STATUSES = frozenset({429, 503})
ACCESS_DENIED_STATUSES = frozenset({401, 403, 407, 451})
POSSIBLY_GONE_STATUSES = frozenset({404, 410, *ACCESS_DENIED_STATUSES})
_GONE_ROBOTS = range(400, 500)
_TOO_MANY = 429
_OK = 200
_SERVER_ERROR = 500


class RequestSpacing:
    """Keeps requests apart."""

    def __init__(self, delay_s: float, sleep: Callable[[float], Awaitable[None]], now: Callable[[], float]) -> None:
        self.delay_s = delay_s
        self._sleep = sleep
        self._now = now
        self._due = float("-inf")

    async def turn(self) -> None:
        """Wait until a request may begin."""
        now = self._now()
        begins = max(self._due, now)
        self._due = begins + self.delay_s
        if begins > now:
            await self._sleep(begins - now)

    def hold(self, seconds: float) -> None:
        """Let no request begin before so many seconds have passed."""
        self._due = max(self._due, self._now() + seconds)


class HostClient:
    """Fetches from one host."""

    def __init__(self, fetcher: Fetcher, pace: RequestSpacing, now: Callable[[], float]) -> None:
        self._fetcher = fetcher
        self._pace = pace
        self._now = now
        self.robots = RobotsRules()

    async def learn(self, origin: str) -> None:
        """Read the host's robots.txt; without one everything is allowed.

        Raises:
            FetchError: it cannot be read, so that nothing is allowed (RFC 9309).

        """
        try:
            found = await self.fetch(f"{origin}/robots.txt", FetchOptions())
        except FetchTooLarge:
            raise FetchFailed("its robots.txt is far too large") from None
        if found.status == _OK:
            self.robots = await asyncio.to_thread(
                RobotsRules, found.data
            )  # of thousands of rules, it takes half a second
        elif found.status not in _GONE_ROBOTS or found.status == _TOO_MANY:
            raise FetchFailed(f"its robots.txt answers {found.status}")
        self._pace.delay_s = max(self._pace.delay_s, self.robots.delay_s)

    async def fetch(self, url: str, ask: FetchOptions, told_by: str | None = None) -> FetchedResponse:
        """Fetch, waiting for a host that is busy; what it answers at last is returned whatever it is.

        ``told_by`` is the address at which the URL was named, None where it is of the configuration or of the host.

        Raises:
            FetchError: as ``Fetcher.fetch``; what broke off was tried again.

        """
        if told_by is not None:
            self._fetcher.judge_led(url, self._fetcher.judge(told_by))
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            await self._pace.turn()
            last = attempt == _MAX_ATTEMPTS
            try:
                found = await self._fetcher.fetch(url, ask)
            except (FetchFailed, FetchTimeout):
                if last:
                    raise
                self._pace.hold(self._pace.delay_s * attempt)
                continue
            if (
                last
                or (found.status not in _BUSY_STATUSES and found.status < _SERVER_ERROR)
                or not self._waits(found, attempt)
            ):
                return found
        raise FetchError("it was not asked")  # pragma: no cover - the last attempt returns or raises

    def _waits(self, found: FetchedResponse, attempt: int) -> bool:
        """Hold the host's next requests as it asks; False where it asks for too much."""
        asked = parse_retry_after_s(found.headers.get("retry-after"), self._now())
        wait_s = float(2 ** (attempt - 1)) if asked is None else asked
        if wait_s > _MAX_WAIT_S:
            return False
        self._pace.hold(wait_s)
        return True


def plain(url: str) -> str:
    """Return of an address what an error may show."""
    return url.partition("?")[0].partition("#")[0].replace("\n", " ")[:200]


def build_conditional_headers(etag: str | None, last_modified: str | None) -> dict[str, str]:
    """Return the headers that ask for something only if it has changed."""
    told = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    return {name: value for name, value in told.items() if value}
