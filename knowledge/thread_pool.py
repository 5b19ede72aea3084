"""Run blocking calls in threads of their own."""

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
    """Runs blocking calls in its own threads, so that a call that hangs delays only its caller.

    A cancelled caller continues at once. Its call ends later, limited by the driver's own timeouts or by the end of the
    process, which does not wait for it.
    """

    def __init__(self, name: str, width: int = 4) -> None:
        self._name = name
        self._width = width
        self._crew: _DaemonThreads | None = None

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return the result of the call, or raise its error."""
        if self._crew is None:
            self._crew = _DaemonThreads(self._name, self._width)
        return await asyncio.wrap_future(self._crew.queue_call(call))

    def run_later(self, call: Callable[[], object]) -> None:
        """Run a call after those that are waiting, and ignore its result."""
        if self._crew is not None:
            self._crew.queue_call(call)

    def close(self) -> None:
        """Accept no more calls, and wait for none; the next ``run`` opens the pool again."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.dismiss_threads()


class _DaemonThreads:
    """Start daemon threads. An executor's threads would delay the end of the process if they hang."""

    def __init__(self, name: str, width: int) -> None:
        self._name = name
        self._width = width
        self._calls: _Calls = SimpleQueue()
        self._threads = 0

    def queue_call(self, call: Callable[[], _T]) -> Future[_T]:
        """Queue a call, and return the future of its result."""
        future = Future[_T]()
        self._calls.put((future, call))
        if self._threads < self._width:
            name = f"{self._name}_{self._threads}"
            threading.Thread(target=_run_calls, args=(self._calls,), name=name, daemon=True).start()
            self._threads += 1
        return future

    def dismiss_threads(self) -> None:
        """Stop the threads after the queued calls."""
        for _ in range(self._threads):
            self._calls.put(None)


def _run_calls(calls: _Calls) -> None:
    while (call := calls.get()) is not None:
        _run_call(*call)
        del call  # Otherwise the result would stay in memory until the next call.


def _run_call(future: Future[_T], call: Callable[[], _T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 (it is the caller's)
        future.set_exception(error)
    else:
        future.set_result(result)
