"""Where the engine's state is kept while it lives: one status, its watchers, and the one way to change it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from engine.control.lifecycle import LifecycleEvent, next_state
from engine.interfaces import EngineState, EngineStatus


class StatusBoard:
    """The engine's status, changed by events of the life-cycle's table and by progress within a state."""

    def __init__(self, publish: Callable[[EngineStatus], None] = lambda _: None) -> None:
        """Start absent; ``publish`` is called with every new status (it writes the runtime file)."""
        self._status = EngineStatus(EngineState.ABSENT)
        self._publish = publish
        self._changed = asyncio.Event()

    @property
    def status(self) -> EngineStatus:
        """Return the status now."""
        return self._status

    def apply_event(self, event: LifecycleEvent, detail: str = "", *, progress: float | None = None) -> None:
        """Take the step that ``event`` leads to; raises ``IllegalTransition`` where the table has none."""
        self.set_status(
            replace(self._status, state=next_state(self._status.state, event), detail=detail, progress=progress)
        )

    def show_progress(self, detail: str, *, progress: float | None = None) -> None:
        """Tell what is being done in the same state."""
        self.set_status(replace(self._status, detail=detail, progress=progress))

    def show_model(self, *, model: str | None, small_model: bool, on_cpu: bool, url: str | None) -> None:
        """Show what is served, and where."""
        self.set_status(replace(self._status, model=model, small_model=small_model, on_cpu=on_cpu, url=url))

    def set_status(self, status: EngineStatus) -> None:
        """Put up a status as it is: of an engine that another process or another machine runs."""
        if status == self._status:
            return
        self._status = status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._publish(status)

    async def watch(self) -> AsyncGenerator[EngineStatus, None]:
        """Yield the status now and then each later one; a slow reader skips what was overtaken."""
        seen: EngineStatus | None = None
        while True:
            changed = self._changed
            if self._status != seen:
                seen = self._status
                yield seen
            else:
                await changed.wait()
