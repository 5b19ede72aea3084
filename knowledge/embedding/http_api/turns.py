"""Let callers through a few at a time, the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PriorityTurns:
    """Gives ``width`` turns at a time: the smallest priority first, then in the order of arrival."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._arrivals = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def take_turn(self, priority: int) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of a block."""
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (priority, next(self._arrivals), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # the turn came together with the cancellation
                    self._pass_turn_on()
                raise
        try:
            yield
        finally:
            self._pass_turn_on()

    def _pass_turn_on(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
