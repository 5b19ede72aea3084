"""A cache whose values expire, and in which a change always wins over a value that was requested before it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from knowledge.latest_entries import LatestEntries

K = TypeVar("K")
V = TypeVar("V")

_ATTEMPTS = 3
_FAILURE_S = 2.0
"""How long a failed key is not fetched again, so that all its callers fail at once."""


class FreshCache(Generic[K, V]):
    """Caches at most ``limit`` values for ``ttl_s`` seconds from the start of their fetch."""

    def __init__(self, ttl_s: float, limit: int, now: Callable[[], float]) -> None:
        self._ttl_s = ttl_s
        self._limit = limit
        self._now = now
        self._entries: LatestEntries[K, tuple[float, V]] = LatestEntries(limit)
        self._failed_until: dict[K, float] = {}
        self._running: dict[K, asyncio.Event] = {}
        self._changes = 0
        self._cleared_at = 0
        self._changed_at: dict[K, int] = {}
        """The number of the last change of each key, as long as a fetch runs."""
        self._fetches = 0

    def get(self, key: K) -> V | None:
        """Return a value that has not expired."""
        expires_at, value = self._entries.get(key, (0.0, None))
        return value if expires_at > self._now() else None

    async def fetch(self, key: K, call: Callable[[], Awaitable[V | None]]) -> V | None:
        """Return a value from the cache or from ``call``; None if it is unknown. Equal keys share one call."""
        while True:
            if (value := self.get(key)) is not None or self._failed_until.get(key, 0.0) > self._now():
                return value
            if (running := self._running.get(key)) is None:
                break
            await running.wait()
        running = self._running[key] = asyncio.Event()
        try:
            value = await self._fetch_current(key, call)
            if value is None:
                self._note_failure(key)
            return value
        finally:
            del self._running[key]
            running.set()

    async def _fetch_current(self, key: K, call: Callable[[], Awaitable[V | None]]) -> V | None:
        """Return a value that did not change while it was fetched; None if it is unknown or always changes."""
        for _ in range(_ATTEMPTS):
            started = self.start_fetch()
            try:
                value = await call()
                if value is None or self.store_value(key, value, started):
                    return value
            finally:
                self.end_fetch()
        return None

    def _note_failure(self, key: K) -> None:
        if len(self._failed_until) >= self._limit:
            self._failed_until.clear()
        self._failed_until[key] = self._now() + _FAILURE_S

    # ── Fetches of many values at once ───────────────────────────────────────────────────────────────────────────────

    def start_fetch(self) -> tuple[float, int]:
        """Return the start of a fetch for ``store_value``; ``end_fetch`` must follow."""
        self._fetches += 1
        return self._now(), self._changes

    def store_value(self, key: K, value: V, started: tuple[float, int]) -> bool:
        """Store a fetched value; return False if the key has changed since the start."""
        started_at, changes = started
        if max(self._cleared_at, self._changed_at.get(key, 0)) > changes:
            return False
        self._entries[key] = (started_at + self._ttl_s, value)
        return True

    def end_fetch(self) -> None:
        """End a fetch."""
        self._fetches -= 1
        if not self._fetches:
            self._changed_at.clear()

    # ── Changes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def change(self, key: K, update: Callable[[V], V | None] = lambda _: None) -> None:
        """Replace a value by what ``update`` returns; None, the default, removes it. It expires as before."""
        self._changes += 1
        self._failed_until.pop(key, None)
        if self._fetches:
            self._changed_at[key] = self._changes
        if key in self._entries:
            expires_at, value = self._entries[key]
            after = update(value)
            if after is None:
                del self._entries[key]
            else:
                self._entries[key] = (expires_at, after)

    def clear(self) -> None:
        """Remove everything."""
        self._changes += 1
        self._cleared_at = self._changes
        self._entries.clear()
        self._failed_until.clear()
