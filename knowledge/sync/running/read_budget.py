"""How many bytes may be read ahead or held until they are flipped, over all sources of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from knowledge.interfaces import ListedDocument
from knowledge.sync.signals import Signal

SMALL_BYTES = 1_000_000
"""Smaller documents never wait for larger ones: a source holds a handful of them at most."""
_UNKNOWN_BYTES = 8_000_000
"""What the first document of a source is taken for that does not say how large it is."""


class ReadBudget:
    """Bytes that are taken before a document is read, and given back once it is flipped, or turned out not to be."""

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._used = 0
        self._changed = Signal()

    @asynccontextmanager
    async def lease(self, expected_bytes: int) -> AsyncIterator[ByteLease]:
        """Wait until so many bytes are free; more than there are in all go when nothing else is out."""
        wanted = min(expected_bytes, self._size)
        if wanted > SMALL_BYTES:
            await self._changed.until(lambda: self._used + wanted <= self._size)
        lease = ByteLease(self)
        lease.set(expected_bytes)
        try:
            yield lease
        finally:
            if not lease.kept:
                lease.set(0)

    def move(self, by: int) -> None:
        """Take so many bytes, or give them back."""
        self._used += by
        if by < 0:
            self._changed.fire()


class ByteLease:
    """One document's part."""

    def __init__(self, budget: ReadBudget) -> None:
        self._budget = budget
        self._bytes = 0
        self.kept = False

    def set(self, size_bytes: int) -> None:
        """Say how large it turned out to be, 0 once it is given up; never waits."""
        counted = size_bytes if size_bytes > SMALL_BYTES else 0
        self._budget.move(counted - self._bytes)
        self._bytes = counted

    def keep(self) -> None:
        """Let it outlast the block that it was taken for, until somebody sets it to 0."""
        self.kept = True


class SizeEstimates:
    """What the documents of one source are taken for before they are read."""

    def __init__(self) -> None:
        self._largest: int | None = None

    def expected(self, listed: ListedDocument) -> int:
        """Return the bytes that are leased: as listed, or twice the largest that was read so far."""
        if listed.size_bytes is not None:
            return listed.size_bytes
        return _UNKNOWN_BYTES if self._largest is None else 2 * self._largest

    def seen(self, size_bytes: int) -> None:
        """Note how large a document turned out to be."""
        self._largest = max(self._largest or 0, size_bytes)
