"""The workspace's clock: the machine's time plus the seconds that a test advanced it by."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable


class SandboxClock:
    """Wall-clock seconds that can be moved forward; every wait in the sandbox goes through it."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset_s = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._source() + self._offset_s

    def advance(self, seconds: float) -> None:
        """Advance the time; waits that are over by then end at once."""
        self._offset_s += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep_until(self, due: float) -> None:
        """Wait until a time."""
        while (wait_s := due - self.now()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._moved.wait()
