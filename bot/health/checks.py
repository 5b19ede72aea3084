"""What a probe reports: named checks whose values are kept up to date anyway, so that a probe costs nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from engine.tasks import cancel_tasks
from knowledge.errors import KnowledgeError

_ASK_EVERY_S: Final = 2.0
_LATE_S: Final = 6.0
"""A part that takes longer to answer does not work."""
_LAG_EVERY_S: Final = 0.5
_MOST_LAG_S: Final = 10.0
"""The event loop is stuck if a task that is due waits longer."""
OK: Final = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says now."""

    text: str = OK
    """A sentence; "ok" if there is nothing to say."""
    is_usable: bool = True
    """Whether questions can be answered. A process that cannot answer them is not ready."""
    is_passing: bool = False
    """Whether it ends by itself, or as soon as ``kvasir run`` or ``kvasir sync`` has done its first work."""


class Health:
    """The checks of this process by their names. ``close`` ends its tasks."""

    def __init__(self) -> None:
        self.is_draining = False
        """Whether the process is about to end: it answers what it has begun."""
        self._checks: dict[str, Callable[[], Finding]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._lag_s, self._measured_at = 0.0, time.monotonic()

    def add_check(self, name: str, find: Callable[[], Finding]) -> None:
        """Add a check, or replace the one of this name. It does no I/O, because each probe calls it."""
        self._checks[name] = find

    def ask_repeatedly(
        self, name: str, ask: Callable[[], Awaitable[object]], *, needed: bool = True, every_s: float | None = None
    ) -> None:
        """Add a check of a part that has to be asked; a task does it.

        ``ask`` raises an error if the part does not work, or returns a finding; anything else means "ok". Without a
        part that is not ``needed``, this process stays ready.
        """
        answers = _Answers(ask, needed=needed, every_s=every_s or _ASK_EVERY_S)
        self.add_check(name, answers.find)
        self.start_task(answers.collect())

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task that keeps values up to date."""
        self._tasks.append(asyncio.create_task(work, name="health"))

    async def close(self) -> None:
        """End all tasks."""
        await cancel_tasks(*self._tasks)

    def describe_liveness(self) -> tuple[bool, dict[str, object]]:
        """Return whether the event loop goes on, and how late it was lately."""
        lag_s = max(self._lag_s, time.monotonic() - self._measured_at - _LAG_EVERY_S)
        return lag_s <= _MOST_LAG_S, {"ok": lag_s <= _MOST_LAG_S, "lag_s": round(lag_s, 3)}

    def describe_readiness(self) -> tuple[bool, dict[str, object]]:
        """Return whether this process takes questions, and what each check says."""
        findings = {name: find() for name, find in self._checks.items()}
        if self.is_draining:
            findings["drain"] = Finding("Kvasir is stopping: it ends the answers that it has begun.", is_usable=False)
        is_ready = all(one.is_usable for one in findings.values())
        texts = {name: one.text for name, one in findings.items()}
        return is_ready, {"ready": is_ready, "ok": all(text == OK for text in texts.values()), "checks": texts}

    async def measure_lag(self) -> None:
        """Measure how late the event loop is, without end."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(_LAG_EVERY_S)
            self._measured_at = time.monotonic()
            self._lag_s = self._measured_at - began - _LAG_EVERY_S


class _Answers:
    """What a part last answered, or that it does not answer."""

    def __init__(self, ask: Callable[[], Awaitable[object]], *, needed: bool, every_s: float) -> None:
        self._ask, self._every_s = ask, every_s
        self._needed = needed
        self._asked_at: float | None = None
        self._finding = Finding("It has not answered yet.", is_usable=not self._needed)

    def find(self) -> Finding:
        if self._asked_at is not None and (silent_s := time.monotonic() - self._asked_at) > _LATE_S:
            return Finding(f"It has not answered for {silent_s:.0f} s.", is_usable=not self._needed)
        return self._finding

    async def collect(self) -> None:
        while True:
            self._asked_at = time.monotonic()
            try:
                answer = await self._ask()
                self._finding = answer if isinstance(answer, Finding) else Finding()
            except Exception as error:  # noqa: BLE001 (whatever it is, the part does not work)
                text = str(error) if isinstance(error, KnowledgeError) else f"It failed: {type(error).__name__}."
                self._finding = Finding(text, is_usable=not self._needed)
            self._asked_at = None
            await asyncio.sleep(self._every_s)
