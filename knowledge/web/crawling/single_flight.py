"""Run a piece of work once for all callers that want it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class SingleFlight(Generic[_T]):
    """Share running work by key. When the last caller leaves, the work is cancelled."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, _SharedTask[_T]] = {}

    def __contains__(self, key: Hashable) -> bool:
        """Return whether work under this key is running."""
        return key in self._tasks

    async def run(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Return the result of the work under this key, or raise its error; start the work if none runs."""
        shared = self._tasks.get(key)
        if shared is None:
            shared = self._tasks[key] = _SharedTask(asyncio.create_task(start()))
        shared.callers += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.callers -= 1
            if shared.callers == 0:
                if self._tasks.get(key) is shared:
                    del self._tasks[key]
                await _cancel_task(shared.task)


class _SharedTask(Generic[_T]):
    def __init__(self, task: asyncio.Task[_T]) -> None:
        self.task = task
        self.callers = 0


async def _cancel_task(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it: no caller is left
