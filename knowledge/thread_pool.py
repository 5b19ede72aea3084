"""The one way by which whoever knows only blocking calls makes them: a few threads of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
_Calls = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class NamedThreadPool:
    """Runs blocking calls in threads that nobody else waits for: one that hangs holds up its own caller alone.

    A cancelled caller goes on at once; its call comes to its end behind it, bounded by the driver's own time-outs, or
    by the end of the process, which does not wait for it.
    """

    def __init__(self, name: str, width: int = 4) -> None:
        self._name = name
        self._width = width
        self._crew: _DaemonThreads | None = None

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return what the call returns, or raise what it raises."""
        if self._crew is None:
            self._crew = _DaemonThreads(self._name, self._width)
        return await asyncio.wrap_future(self._crew.take(call))

    def later(self, call: Callable[[], object]) -> None:
        """Let a call be made after those that are waiting; nobody learns what became of it."""
        if self._crew is not None:
            self._crew.take(call)

    def close(self) -> None:
        """Take no more calls, and wait for none that was taken; the next ``run`` opens the door again."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.dismiss()


class _DaemonThreads:
    """Daemons, which an executor's threads are not: it has the process wait for them at its end, however they hang."""

    def __init__(self, name: str, width: int) -> None:
        self._name = name
        self._width = width
        self._calls: _Calls = SimpleQueue()
        self._threads = 0

    def take(self, call: Callable[[], _T]) -> Future[_T]:
        """Return what will hold the call's end."""
        future = Future[_T]()
        self._calls.put((future, call))
        if self._threads < self._width:
            name = f"{self._name}_{self._threads}"
            threading.Thread(target=_run_calls, args=(self._calls,), name=name, daemon=True).start()
            self._threads += 1
        return future

    def dismiss(self) -> None:
        """Let the threads end after what was taken."""
        for _ in range(self._threads):
            self._calls.put(None)


def _run_calls(calls: _Calls) -> None:
    while (taken := calls.get()) is not None:
        _run_call(*taken)
        del taken  # or what the call returned would be kept until the next one


def _run_call(future: Future[_T], call: Callable[[], _T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 (it is the caller's)
        future.set_exception(error)
    else:
        future.set_result(result)
