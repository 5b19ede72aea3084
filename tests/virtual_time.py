"""An event loop whose time goes on at once while nothing happens, for tests of what Slack allows in minutes."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_IDLE_S = 0.002
"""Of real time without input, after which the loop does not wait any more."""
_STEP_S = 0.25
"""The time goes on by so much at most. A thread that works in a step of many seconds would meet its deadline."""

T = TypeVar("T")


class _ImpatientSelector(selectors.DefaultSelector):
    """Waits a moment for input, then lets the time go on."""

    def __init__(self) -> None:
        super().__init__()
        self.pass_time: Callable[[float], None] = lambda _seconds: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        wait_s = _IDLE_S if timeout is None else min(timeout, _IDLE_S)
        ready = super().select(wait_s)
        if not ready and timeout != wait_s:
            self.pass_time(_STEP_S if timeout is None else min(timeout - wait_s, _STEP_S))
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop with a time of its own."""

    def __init__(self) -> None:
        selector = _ImpatientSelector()
        self._passed_s = 0.0
        self.clocks: list[Callable[[float], None]] = []
        """Other clocks, which advance by the same time."""
        super().__init__(selector)
        selector.pass_time = self._pass_time

    def time(self) -> float:
        return super().time() + self._passed_s

    def _pass_time(self, seconds: float) -> None:
        self._passed_s += seconds
        for advance in self.clocks:
            advance(seconds)


def run_in_virtual_time(main: Callable[[VirtualTimeLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        return runner.run(main(loop))
