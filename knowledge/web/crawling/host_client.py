"""Fetch politely from one host: obey its robots.txt, keep its pace, and retry as it asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from knowledge.dates import parse_retry_after_s
from knowledge.errors import FetchError, FetchFailed, FetchTimeout
from knowledge.web.crawling.robots import RobotsRules
from knowledge.web.crawling.robots_policy import RobotsPolicy
from knowledge.web.http.fetch import FetchedResponse, Fetcher, FetchOptions
from knowledge.web.http.guard import check_linked_url, check_url

MAX_CONCURRENT_REQUESTS = 2
"""Requests to one host at the same time."""

_MAX_ATTEMPTS = 3
_MAX_WAIT_S = 300.0
_BUSY_STATUSES = frozenset({429, 503})
ACCESS_DENIED_STATUSES = frozenset({401, 403, 407, 451})
POSSIBLY_GONE_STATUSES = frozenset({404, 410, *ACCESS_DENIED_STATUSES})
_SERVER_ERROR = 500


class RequestSpacing:
    """Keep a delay between the requests to a host."""

    def __init__(self, delay_s: float, sleep: Callable[[float], Awaitable[None]], now: Callable[[], float]) -> None:
        self.delay_s = delay_s
        self._sleep = sleep
        self._now = now
        self._due = float("-inf")

    async def wait_for_turn(self) -> None:
        """Wait until a request may start."""
        now = self._now()
        start = max(self._due, now)
        self._due = start + self.delay_s
        if start > now:
            await self._sleep(start - now)

    def pause(self, seconds: float) -> None:
        """Start no request within the next seconds."""
        self._due = max(self._due, self._now() + seconds)


class HostClient:
    """Fetches from one host."""

    def __init__(self, fetcher: Fetcher, spacing: RequestSpacing, now: Callable[[], float]) -> None:
        self._fetcher = fetcher
        self._spacing = spacing
        self._now = now
        self.robots = RobotsRules()

    async def load_robots(self, origin: str) -> None:
        """Load the host's robots.txt and keep the delay that it asks for; without one everything is allowed.

        Raises:
            FetchError: it cannot be read, so nothing is allowed (RFC 9309).

        """
        self.robots = await RobotsPolicy(self.fetch, self._now).load_rules(origin)
        self._spacing.delay_s = max(self._spacing.delay_s, self.robots.delay_s)

    async def fetch(self, url: str, options: FetchOptions, linked_from: str | None = None) -> FetchedResponse:
        """Fetch a URL, and retry while the host is busy or fails; the last response is returned, also a failure.

        ``linked_from`` is the address that named the URL, None if the configuration or the host itself did.

        Raises:
            FetchError: as ``Fetcher.fetch``; a broken connection and a timeout are retried first.

        """
        if linked_from is not None:
            rules = self._fetcher.rules
            check_linked_url(url, check_url(linked_from, rules), rules)
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            await self._spacing.wait_for_turn()
            is_last = attempt == _MAX_ATTEMPTS
            try:
                response = await self._fetcher.fetch(url, options)
            except (FetchFailed, FetchTimeout):
                if is_last:
                    raise
                self._spacing.pause(self._spacing.delay_s * attempt)
                continue
            if is_last or not _is_temporary(response.status) or not self._pause_for(response, attempt):
                return response
        raise FetchError("no attempt was made")  # pragma: no cover - the last attempt returns or raises

    def _pause_for(self, response: FetchedResponse, attempt: int) -> bool:
        """Pause the host's requests as the response asks; return False if it asks for too long a pause."""
        asked_s = parse_retry_after_s(response.headers.get("retry-after"), self._now())
        wait_s = float(2 ** (attempt - 1)) if asked_s is None else asked_s
        if wait_s > _MAX_WAIT_S:
            return False
        self._spacing.pause(wait_s)
        return True


def _is_temporary(status: int) -> bool:
    return status in _BUSY_STATUSES or status >= _SERVER_ERROR


def strip_query(url: str) -> str:
    """Return an address as an error may show it: on one line, without its query and fragment."""
    return url.partition("?")[0].partition("#")[0].replace("\n", " ")[:200]


def build_conditional_headers(etag: str | None, last_modified: str | None) -> dict[str, str]:
    """Return the headers of a conditional request."""
    headers = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    return {name: value for name, value in headers.items() if value}
