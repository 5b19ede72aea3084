"""Waiting for a condition that others bring about, without a lock: everything runs on one loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Signal:
    """Wakes whoever waits, to look at its condition again."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def fire(self) -> None:
        """Let everybody look again; may be called from anywhere on the loop."""
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once the condition holds; at once, and without giving way, if it does already."""
        while not condition():
            one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(one)
            try:
                await one
            finally:
                self._waiting.discard(one)
