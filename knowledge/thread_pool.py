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
        self._calls: _Calls = SimpleQueue()
        self._threads = 0

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return the result of the call, or raise its error."""
        return await asyncio.wrap_future(self._queue_call(call))

    def run_later(self, call: Callable[[], object]) -> None:
        """Run a call after those that are waiting, and ignore its result; do nothing if the pool is not open."""
        if self._threads:
            self._queue_call(call)

    def close(self) -> None:
        """Accept no more calls, and wait for none; the next ``run`` opens the pool again."""
        for _ in range(self._threads):
            self._calls.put(None)
        self._calls = SimpleQueue()
        self._threads = 0

    def _queue_call(self, call: Callable[[], _T]) -> Future[_T]:
        future = Future[_T]()
        self._calls.put((future, call))
        if self._threads < self._width:
            name = f"{self._name}_{self._threads}"
            # An executor's threads would delay the end of the process if they hang.
            threading.Thread(target=_run_calls, args=(self._calls,), name=name, daemon=True).start()
            self._threads += 1
        return future


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
