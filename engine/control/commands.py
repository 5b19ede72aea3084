"""Carries out the orders that the owner of an engine is given: start, stop, restart; one at a time, each to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from engine.control.control_socket import EngineAction, EngineCommand
from engine.control.lifecycle import LifecycleEvent
from engine.control.status import StatusBoard
from engine.errors import EngineRefused

_MAX_PENDING = 4
STOPPED_DETAIL = "The engine is stopped; `kvasir engine start` starts it."


class CommandRunner:
    """Owns the task that runs the engine."""

    def __init__(self, board: StatusBoard, run: Callable[[bool], Awaitable[None]]) -> None:
        """Take what is run: it is told whether to begin afresh, and ends when the engine is given up."""
        self._board = board
        self._run_engine = run
        self._pending: asyncio.Queue[EngineCommand] = asyncio.Queue(_MAX_PENDING)
        self._running: asyncio.Future[None] | None = None
        self._is_accepting = False

    def accept(self, command: EngineCommand) -> str:
        """Take an order, to be carried out soon, and return what will be done.

        Raises:
            EngineRefused: it is not this process's engine, the order is carried out already, or too many wait.

        """
        up = self._running is not None and not self._running.done()
        if not self._is_accepting:
            raise EngineRefused("This process does not run the engine.")
        if command.action is EngineAction.START and up:
            raise EngineRefused(f"The engine is {self._board.status.state.value} already.")
        if command.action is EngineAction.STOP and self._running is None:
            raise EngineRefused("The engine is stopped already.")
        try:
            self._pending.put_nowait(command)
        except asyncio.QueueFull:
            raise EngineRefused("Other orders are being carried out. Ask again in a moment.") from None
        return _REPLIES[command.action]

    async def run(self) -> None:
        """Start the engine, then do as is told, for ever; a fault in what is run is raised."""
        asked = EngineCommand(EngineAction.START)
        self._is_accepting = True
        try:
            while True:
                if asked.action is not EngineAction.STOP:
                    run = self._running = asyncio.ensure_future(self._run_engine(asked.fresh))
                    try:
                        asked = await self._wait_for_command(run)
                        self._show_stopping(asked)
                    finally:
                        await _cancel_and_wait(run)
                    self._running = None
                    self._show_stopped(asked)
                else:
                    asked = await self._pending.get()
        finally:
            self._is_accepting = False

    async def _wait_for_command(self, run: asyncio.Future[None]) -> EngineCommand:
        """Wait for the next order; an engine that was given up stays so until then."""
        order = asyncio.ensure_future(self._take_effective_command(run))
        try:
            waited: list[asyncio.Future[Any]] = [run, order]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                run.result()
            return await order
        finally:
            order.cancel()

    async def _take_effective_command(self, run: asyncio.Future[None]) -> EngineCommand:
        """Take the next order that changes anything: of two starts that came at once, the second does not."""
        while (asked := await self._pending.get()).action is EngineAction.START and not run.done():
            pass
        return asked

    def _show_stopping(self, asked: EngineCommand) -> None:
        if asked.action is not EngineAction.START:
            self._board.apply_event(LifecycleEvent.STOP, "The engine is stopping.")

    def _show_stopped(self, asked: EngineCommand) -> None:
        if asked.action is not EngineAction.START:
            self._board.apply_event(LifecycleEvent.END, STOPPED_DETAIL)
            self._board.show_model(model=None, small_model=False, on_cpu=False, url=None)


_REPLIES = {
    EngineAction.START: "The engine is being started.",
    EngineAction.STOP: "The engine is being stopped.",
    EngineAction.RESTART: "The engine is being restarted.",
}


async def _cancel_and_wait(run: asyncio.Future[Any]) -> None:
    """Cancel what is run and return once it has ended, also if the caller is cancelled meanwhile."""
    run.cancel()
    cancelled = False
    while not run.done():
        try:
            await asyncio.wait([run])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
