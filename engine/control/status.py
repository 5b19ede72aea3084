"""Where the engine's state is kept while it lives: one status, its watchers, and the one way to change it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from engine.control.lifecycle import Event, after
from engine.interfaces import State, Status


class StatusBoard:
    """The engine's status, changed by events of the life-cycle's table and by progress within a state."""

    def __init__(self, publish: Callable[[Status], None] = lambda _: None) -> None:
        """Start absent; ``publish`` is called with every new status (it writes the runtime file)."""
        self._status = Status(State.ABSENT)
        self._publish = publish
        self._changed = asyncio.Event()

    @property
    def status(self) -> Status:
        """Return the status now."""
        return self._status

    def move(self, event: Event, detail: str = "", *, progress: float | None = None) -> None:
        """Take the step that ``event`` leads to; raises ``IllegalTransition`` where the table has none."""
        self.show(replace(self._status, state=after(self._status.state, event), detail=detail, progress=progress))

    def note(self, detail: str, *, progress: float | None = None) -> None:
        """Tell what is being done in the same state."""
        self.show(replace(self._status, detail=detail, progress=progress))

    def describe(self, *, model: str | None, small_model: bool, on_cpu: bool, url: str | None) -> None:
        """Show what is served, and where."""
        self.show(replace(self._status, model=model, small_model=small_model, on_cpu=on_cpu, url=url))

    def show(self, status: Status) -> None:
        """Put up a status as it is: of an engine that another process or another machine runs."""
        if status == self._status:
            return
        self._status = status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._publish(status)

    async def watch(self) -> AsyncGenerator[Status, None]:
        """Yield the status now and then each later one; a slow reader skips what was overtaken."""
        seen: Status | None = None
        while True:
            changed = self._changed
            if self._status != seen:
                seen = self._status
                yield seen
            else:
                await changed.wait()
