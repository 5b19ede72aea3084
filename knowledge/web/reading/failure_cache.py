"""What could not be read a moment ago, so that it is not asked for again at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from knowledge.errors import FetchAnswered, FetchError, FetchFailed, FetchTimeout

_BROKEN_S: Final = 30.0
"""A site that fails may be back soon."""
_REFUSED_S: Final = 300.0
"""What is not there, not for us, or has no text, seldom changes within minutes."""
_MOST = 2_000
_TOO_MANY, _SERVER_ERROR = 429, 500


class FailureCache:
    """Errors by what was asked for, each for a short while; in this process alone, so that a new one sees what is."""

    def __init__(self) -> None:
        self._until: OrderedDict[Hashable, tuple[float, FetchError]] = OrderedDict()

    def add(self, key: Hashable, error: FetchError, now: float) -> None:
        """Remember an error; the oldest are forgotten where there are too many."""
        self._until[key] = (now + (_BROKEN_S if is_site_failure(error) else _REFUSED_S), error.with_traceback(None))
        self._until.move_to_end(key)
        if len(self._until) > _MOST:
            self._until.popitem(last=False)

    def get(self, key: Hashable, now: float) -> FetchError | None:
        """Return the error that this met, None where it may be tried (again)."""
        until, error = self._until.get(key, (0.0, None))
        return error if now < until else None


def is_site_failure(error: FetchError) -> bool:
    """Say whether the site itself failed, so that nothing is known of the page."""
    if isinstance(error, FetchAnswered):
        return error.status >= _SERVER_ERROR or error.status == _TOO_MANY
    return isinstance(error, (FetchFailed, FetchTimeout))
