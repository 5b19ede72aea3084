"""Carries out the orders that the owner of an engine is given: start, stop, restart; one at a time, each to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from engine.control.control_socket import Asked, Order
from engine.control.lifecycle import Event
from engine.control.status import StatusBoard
from engine.errors import EngineRefused

_MOST_WAITING = 4
STOPPED = "The engine is stopped; `kvasir engine start` starts it."


class Orders:
    """Owns the task that runs the engine."""

    def __init__(self, board: StatusBoard, run: Callable[[bool], Awaitable[None]]) -> None:
        """Take what is run: it is told whether to begin afresh, and ends when the engine is given up."""
        self._board = board
        self._run = run
        self._waiting: asyncio.Queue[Asked] = asyncio.Queue(_MOST_WAITING)
        self._running: asyncio.Future[None] | None = None
        self._open = False

    def take(self, asked: Asked) -> str:
        """Take an order, to be carried out soon, and return what will be done.

        Raises:
            EngineRefused: it is not this process's engine, the order is carried out already, or too many wait.

        """
        up = self._running is not None and not self._running.done()
        if not self._open:
            raise EngineRefused("This process does not run the engine.")
        if asked.order is Order.START and up:
            raise EngineRefused(f"The engine is {self._board.status.state.value} already.")
        if asked.order is Order.STOP and self._running is None:
            raise EngineRefused("The engine is stopped already.")
        try:
            self._waiting.put_nowait(asked)
        except asyncio.QueueFull:
            raise EngineRefused("Other orders are being carried out. Ask again in a moment.") from None
        return _DONE[asked.order]

    async def carry_out(self) -> None:
        """Start the engine, then do as is told, for ever; a fault in what is run is raised."""
        asked = Asked(Order.START)
        self._open = True
        try:
            while True:
                if asked.order is not Order.STOP:
                    run = self._running = asyncio.ensure_future(self._run(asked.fresh))
                    try:
                        asked = await self._next(run)
                        self._stopping(asked)
                    finally:
                        await _ended(run)
                    self._running = None
                    self._stopped(asked)
                else:
                    asked = await self._waiting.get()
        finally:
            self._open = False

    async def _next(self, run: asyncio.Future[None]) -> Asked:
        """Wait for the next order; an engine that was given up stays so until then."""
        order = asyncio.ensure_future(self._for(run))
        try:
            waited: list[asyncio.Future[Any]] = [run, order]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                run.result()
            return await order
        finally:
            order.cancel()

    async def _for(self, run: asyncio.Future[None]) -> Asked:
        """Take the next order that changes anything: of two starts that came at once, the second does not."""
        while (asked := await self._waiting.get()).order is Order.START and not run.done():
            pass
        return asked

    def _stopping(self, asked: Asked) -> None:
        if asked.order is not Order.START:
            self._board.move(Event.STOP, "The engine is stopping.")

    def _stopped(self, asked: Asked) -> None:
        if asked.order is not Order.START:
            self._board.move(Event.STOPPED, STOPPED)
            self._board.describe(model=None, small_model=False, on_cpu=False, url=None)


_DONE = {
    Order.START: "The engine is being started.",
    Order.STOP: "The engine is being stopped.",
    Order.RESTART: "The engine is being restarted.",
}


async def _ended(run: asyncio.Future[Any]) -> None:
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
