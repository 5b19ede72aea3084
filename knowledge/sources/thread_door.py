"""The one way by which a source that knows only blocking calls makes them: a few threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


class ThreadDoor:
    """Runs blocking calls in threads that nobody else waits for: one that hangs holds up its own source alone.

    A cancelled caller goes on at once; its call comes to its end behind it, bounded by the driver's own time-outs.
    """

    def __init__(self, name: str, width: int = 4) -> None:
        self._name = name
        self._width = width
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return what the call returns, or raise what it raises."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._width, thread_name_prefix=self._name)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def later(self, call: Callable[[], object]) -> None:
        """Let a call be made after those that are waiting; nobody learns what became of it."""
        if self._threads is not None:
            self._threads.submit(call)

    def close(self) -> None:
        """Take no more calls, and wait for none that was taken; the next ``run`` opens the door again."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)
