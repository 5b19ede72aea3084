"""The engine's current status and its watchers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from engine.control.lifecycle import LifecycleEvent, next_state
from engine.interfaces import EngineState, EngineStatus
from engine.notes import EngineNote


class StatusBoard:
    """The engine's status, which lifecycle events and progress change."""

    def __init__(self, publish: Callable[[EngineStatus], None] = lambda _: None) -> None:
        """Start as ABSENT; call ``publish`` with every new status."""
        self._status = EngineStatus(EngineState.ABSENT)
        self._publish = publish
        self._changed = asyncio.Event()

    @property
    def status(self) -> EngineStatus:
        """Return the current status."""
        return self._status

    def apply_event(self, event: LifecycleEvent, *notes: EngineNote, progress: float | None = None) -> None:
        """Change the state by ``event``; raise ``IllegalTransition`` if the lifecycle does not allow it."""
        self.set_status(
            replace(self._status, state=next_state(self._status.state, event), notes=notes, progress=progress)
        )

    def show_progress(self, *notes: EngineNote, progress: float | None = None) -> None:
        """Show progress within the same state."""
        self.set_status(replace(self._status, notes=notes, progress=progress))

    def show_model(self, *, model: str | None, small_model: bool, on_cpu: bool, url: str | None) -> None:
        """Show the served model and its URL."""
        self.set_status(replace(self._status, model=model, small_model=small_model, on_cpu=on_cpu, url=url))

    def set_status(self, status: EngineStatus) -> None:
        """Set the whole status, as of an engine that another process or machine runs."""
        if status == self._status:
            return
        self._status = status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._publish(status)

    async def watch_status(self) -> AsyncGenerator[EngineStatus, None]:
        """Yield the current status and each later one; a slow reader misses intermediate ones."""
        last: EngineStatus | None = None
        while True:
            changed = self._changed
            if self._status != last:
                last = self._status
                yield last
            else:
                await changed.wait()
