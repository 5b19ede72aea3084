"""Cache failed reads for a short time, so that Kvasir does not ask for the same page again at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from knowledge.errors import FetchBadStatus, FetchError, FetchFailed, FetchTimeout
from knowledge.web.crawling.expiring_cache import ExpiringCache

_SITE_FAILURE_S: Final = 30.0
"""A site that fails may be back soon."""
_REFUSAL_S: Final = 300.0
"""A page that is missing, forbidden or without text seldom changes within minutes."""
_MAX_FAILURES: Final = 2_000
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


class FailureCache:
    """Remembers the errors of failed reads in this process."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._errors: ExpiringCache[Hashable, FetchError] = ExpiringCache(_MAX_FAILURES, now)

    def add_error(self, key: Hashable, error: FetchError) -> None:
        """Remember an error."""
        lifetime_s = _SITE_FAILURE_S if is_site_failure(error) else _REFUSAL_S
        self._errors.store_value(key, error.with_traceback(None), lifetime_s)

    def get_error(self, key: Hashable) -> FetchError | None:
        """Return the remembered error, None if the page may be tried."""
        return self._errors.get_value(key)


def is_site_failure(error: FetchError) -> bool:
    """Return whether the site itself failed, so that nothing is known of the page."""
    if isinstance(error, FetchBadStatus):
        return error.status >= _SERVER_ERROR or error.status == _TOO_MANY_REQUESTS
    return isinstance(error, (FetchFailed, FetchTimeout))
