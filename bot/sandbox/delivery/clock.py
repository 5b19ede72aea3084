"""The workspace's own time: the machine's, plus what a test moved it on by."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable


class Clock:
    """Wall-clock seconds that can be moved forward; every wait in the sandbox goes through it."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset_s = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._source() + self._offset_s

    def advance(self, seconds: float) -> None:
        """Move the time on; waits that are over by then end at once."""
        self._offset_s += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep_until(self, due: float) -> None:
        """Wait for a time."""
        while (left := due - self.now()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._moved.wait()
