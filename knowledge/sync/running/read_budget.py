"""Limit the bytes that all sources of a run read ahead or keep until their documents are current."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from knowledge.interfaces import ListedDocument
from knowledge.sync.signals import Signal

SMALL_BYTES = 1_000_000
"""Smaller documents never wait for larger ones: a source has only a few at a time."""
_UNKNOWN_BYTES = 8_000_000
"""The assumed size of a source's first document, if the source reports no sizes."""


class ReadBudget:
    """A number of bytes that documents lease before they are read, until they are current."""

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._used = 0
        self._changed = Signal()

    @asynccontextmanager
    async def lease_bytes(self, expected_bytes: int) -> AsyncIterator[ByteLease]:
        """Wait until so many bytes are free. A document larger than the budget waits for all of it."""
        size = min(expected_bytes, self._size)
        if size > SMALL_BYTES:
            await self._changed.wait_until(lambda: self._used + size <= self._size)
        lease = ByteLease(self)
        lease.set_size(expected_bytes)
        try:
            yield lease
        finally:
            if not lease.kept:
                lease.set_size(0)

    def change_used(self, by: int) -> None:
        """Change the used bytes."""
        self._used += by
        if by < 0:
            self._changed.wake_waiters()


class ByteLease:
    """The part of one document."""

    def __init__(self, budget: ReadBudget) -> None:
        self._budget = budget
        self._bytes = 0
        self.kept = False  # if True, it is kept after the block, until ``set_size`` gets 0

    def set_size(self, size_bytes: int) -> None:
        """Set the real size, or 0 to release it. Never waits."""
        counted = size_bytes if size_bytes > SMALL_BYTES else 0
        self._budget.change_used(counted - self._bytes)
        self._bytes = counted


class SizeEstimates:
    """Estimates sizes of one source's documents before they are read."""

    def __init__(self) -> None:
        self._largest: int | None = None

    def estimate_size(self, listed: ListedDocument) -> int:
        """Return the bytes to lease: the listed size, or twice the largest size so far."""
        if listed.size_bytes is not None:
            return listed.size_bytes
        return _UNKNOWN_BYTES if self._largest is None else 2 * self._largest

    def record_size(self, size_bytes: int) -> None:
        """Record the size of a document."""
        self._largest = max(self._largest or 0, size_bytes)
