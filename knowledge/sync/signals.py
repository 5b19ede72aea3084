"""Wait for conditions and for the end of tasks. Everything runs on one event loop, so no lock is needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any


class Signal:
    """Wakes waiting tasks, so that they check their conditions again."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def wake_waiters(self) -> None:
        """Make every waiting task check its condition. Call it from anywhere on the loop."""
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Return when the condition is true; immediately, without yielding, if it already is."""
        while not condition():
            one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(one)
            try:
                await one
            finally:
                self._waiting.discard(one)


async def cancel_and_wait(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all have ended, even if this task is cancelled meanwhile."""
    for task in tasks:
        task.cancel()
    while pending := [task for task in tasks if not task.done()]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(pending)
    for task in tasks:
        if not task.cancelled():
            task.exception()
