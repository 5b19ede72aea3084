"""Run the commands that the owner of an engine receives (start, stop, restart), one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from engine.control.control_socket import EngineAction, EngineCommand
from engine.control.lifecycle import LifecycleEvent
from engine.control.status import StatusBoard
from engine.errors import EngineRefused
from engine.notes import NoteCode
from engine.tasks import wait_for_end

_MAX_PENDING = 4


class CommandRunner:
    """Owns the task that runs the engine, and starts and stops it on command."""

    def __init__(self, board: StatusBoard, run: Callable[[bool], Awaitable[None]]) -> None:
        """``run`` runs the engine until it fails for good; its argument is whether to reset the memory ladder."""
        self._board = board
        self._run_engine = run
        self._pending: asyncio.Queue[EngineCommand] = asyncio.Queue(_MAX_PENDING)
        self._running: asyncio.Future[None] | None = None
        self._is_accepting = False

    def accept_command(self, command: EngineCommand) -> str:
        """Queue a command and return the reply for its sender.

        Raises:
            EngineRefused: this process does not run the engine, the command changes nothing, or the queue is full.

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
            raise EngineRefused("Other commands are running. Try again in a moment.") from None
        return _REPLIES[command.action]

    async def run(self) -> None:
        """Start the engine, then run commands without end; raise unexpected errors of the engine's task."""
        command = EngineCommand(EngineAction.START)
        self._is_accepting = True
        try:
            while True:
                if command.action is not EngineAction.STOP:
                    run = self._running = asyncio.ensure_future(self._run_engine(command.fresh))
                    try:
                        command = await self._wait_for_command(run)
                        self._show_stopping(command)
                    finally:
                        run.cancel()
                        await wait_for_end(run)
                    self._running = None
                    self._show_stopped(command)
                else:
                    command = await self._pending.get()
        finally:
            self._is_accepting = False

    async def _wait_for_command(self, run: asyncio.Future[None]) -> EngineCommand:
        """Wait for the next command; an engine that failed stays so until then."""
        pending = asyncio.ensure_future(self._take_effective_command(run))
        try:
            futures: list[asyncio.Future[Any]] = [run, pending]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                run.result()
            return await pending
        finally:
            pending.cancel()

    async def _take_effective_command(self, run: asyncio.Future[None]) -> EngineCommand:
        """Return the next command that has an effect: a start while the engine runs has none."""
        while (command := await self._pending.get()).action is EngineAction.START and not run.done():
            pass
        return command

    def _show_stopping(self, command: EngineCommand) -> None:
        if command.action is not EngineAction.START:
            self._board.apply_event(LifecycleEvent.STOP, NoteCode.STOPPING.fill())

    def _show_stopped(self, command: EngineCommand) -> None:
        if command.action is not EngineAction.START:
            self._board.apply_event(LifecycleEvent.END, NoteCode.STOPPED_BY_COMMAND.fill())
            self._board.show_model(model=None, small_model=False, on_cpu=False, url=None)


_REPLIES = {
    EngineAction.START: "The engine is being started.",
    EngineAction.STOP: "The engine is being stopped.",
    EngineAction.RESTART: "The engine is being restarted.",
}
