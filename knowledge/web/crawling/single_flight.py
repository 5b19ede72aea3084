"""One piece of work for all who want the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class SingleFlight(Generic[_T]):
    """Work by key. Whoever joins waits for what is under way; when the last one has gone, it is cancelled."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _SharedTask[_T]] = {}

    def __contains__(self, key: Hashable) -> bool:
        """Say whether work under this key is under way."""
        return key in self._flights

    async def join(self, key: Hashable, begin: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Return what the work under this key comes to, or raise what it raises; begun if there is none."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _SharedTask(asyncio.create_task(begin()))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0:
                if self._flights.get(key) is flight:
                    del self._flights[key]
                await _cancel_task(flight.task)


class _SharedTask(Generic[_T]):
    def __init__(self, task: asyncio.Task[_T]) -> None:
        self.task = task
        self.waiting = 0


async def _cancel_task(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # looked at: whoever would have been told has gone
