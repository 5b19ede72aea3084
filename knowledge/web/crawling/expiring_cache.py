"""A bounded cache in memory whose entries expire."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from knowledge.latest_entries import LatestEntries

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class ExpiringCache(Generic[_Key, _Value]):
    """Map keys to values, each for its own time; the entry that was written first goes first.

    Args:
        max_entries: how many entries the cache holds.
        now: returns seconds.

    """

    def __init__(self, max_entries: int, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: LatestEntries[_Key, tuple[float, _Value]] = LatestEntries(max_entries)

    def get_value(self, key: _Key) -> _Value | None:
        """Return the value of a key, None if there is none or it has expired."""
        expires_at, value = self._entries.get(key, (0.0, None))
        return value if self._now() < expires_at else None

    def store_value(self, key: _Key, value: _Value, lifetime_s: float) -> None:
        """Store a value for some seconds."""
        self._entries[key] = (self._now() + lifetime_s, value)
