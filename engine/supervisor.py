"""Keeps one engine running: start, readiness, health, restart with back-off, a bounded crash loop, stop."""

from __future__ import annotations

import asyncio
import math
import random
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.board import StatusBoard
from engine.errors import EngineError
from engine.interfaces import State
from engine.launch import Launch
from engine.lifecycle import Event
from engine.logtail import READY_LINE, LogTail, milestone, reason
from engine.process import EngineProcess, free_port

_KILLED = 128 + signal.SIGKILL

Healthy = Callable[[str], Awaitable[bool]]
"""Asks the engine at a URL whether it is well, within a deadline of its own; False for any failure."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to look, how long to wait, and when to give up; all in seconds."""

    start_deadline_s: float = 300.0
    ready_poll_s: float = 0.5
    health_every_s: float = 15.0
    """Between two looks; one look makes an idle engine generate a token."""
    silent_looks: int = 3
    """So many failed looks in a row count as a crash."""
    first_delay_s: float = 1.0
    longest_delay_s: float = 60.0
    crashes: int = 4
    """So many within the window, and it is given up."""
    window_s: float = 900.0


@dataclass(slots=True)
class Crashes:
    """The crashes of late, and what follows from one more."""

    policy: Policy
    jitter: Callable[[], float] = random.random
    _times: deque[float] = field(default_factory=deque)

    def record(self, now_s: float) -> float | None:
        """Return the seconds to wait before the next start, None to give up.

        The wait doubles with each crash in the window, and is drawn between its half and its whole.
        """
        while self._times and now_s - self._times[0] > self.policy.window_s:
            self._times.popleft()
        self._times.append(now_s)
        if len(self._times) >= self.policy.crashes:
            return None
        delay = min(self.policy.first_delay_s * math.pow(2, len(self._times) - 1), self.policy.longest_delay_s)
        return delay * (0.5 + self.jitter() / 2)


@dataclass(frozen=True, slots=True)
class Job:
    """What is kept running."""

    launch: Callable[[int], Awaitable[Launch]]
    """Turns a port into a start."""
    healthy: Healthy
    ready: Callable[[Launch], Awaitable[None]]
    """Awaited before the state becomes READY; an ``EngineError`` from it counts as a crash."""
    lock: Path
    """Held by the running engine, so that two never load at once."""
    secrets: Sequence[str] = field(default=(), repr=False)
    """Struck out of the log."""
    on_line: Callable[[str], None] = lambda _: None
    """Given each line of the log."""
    progress_from: float = 0.0
    """How far things were before the first start, 0 to 1."""
    note: str = ""
    """Shown while it is ready, "" where there is nothing to say."""
    grace_s: float = 10.0
    """From asking the process to end to killing it; SGLang takes up to 8 s."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a test replaces: time, chance and ports."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    port: Callable[[], int] = free_port


class Supervisor:
    """Runs one engine until it is cancelled or given up."""

    def __init__(
        self, job: Job, board: StatusBoard, policy: Policy | None = None, surroundings: Surroundings | None = None
    ) -> None:
        """Take what is kept running and where its state is shown; nothing is started before ``run``."""
        self._job = job
        self._board = board
        self._policy = policy or Policy()
        self._around = surroundings or Surroundings()
        self._crashes = Crashes(self._policy, self._around.jitter)

    async def run(self) -> None:
        """Keep it running; returns when it is given up (the board then says FAILED), ends it when cancelled."""
        while True:
            launch = await self._job.launch(self._around.port())
            tail = LogTail(self._job.secrets)
            try:
                why = await self._once(launch, tail)
            except OSError as error:
                why = f"it could not be started: {error.strerror or error}"
            delay_s = self._crashes.record(self._around.now())
            if delay_s is None:
                self._board.move(
                    Event.GAVE_UP, f"The engine does not stay up: {why}. See engine.log, then start again."
                )
                return
            self._board.move(Event.DIED, f"Restarting in {delay_s:.0f} s: {why}", progress=self._job.progress_from)
            await self._around.sleep(delay_s)
            self._board.note(f"The engine is starting again: {why}", progress=self._job.progress_from)

    async def _once(self, launch: Launch, tail: LogTail) -> str:
        """Run it once and return why it ended."""
        up = asyncio.Event()
        process = await EngineProcess.start(
            launch, lock=self._job.lock, tail=tail, on_line=lambda line: self._line(line, up), grace_s=self._job.grace_s
        )
        ended = asyncio.create_task(process.wait(), name="engine-process")
        watching = asyncio.create_task(self._watch(launch, up), name="engine-health")
        try:
            await asyncio.wait([ended, watching], return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and not ended.done():
                return watching.result()
            return f"{_ended(process.returncode)}: {reason(tail.lines)}"
        except EngineError as error:
            return str(error)
        finally:
            await _cancelled(ended, watching)
            await process.stop()

    def _line(self, line: str, up: asyncio.Event) -> None:
        self._job.on_line(line)
        if READY_LINE in line:
            up.set()
        elif self._board.status.state is State.STARTING and (step := milestone(line)):
            share, doing = step
            done = self._job.progress_from
            self._board.note(f"The engine is {doing}.", progress=done + (1 - done) * share)

    async def _watch(self, launch: Launch, up: asyncio.Event) -> str:
        """Wait until it is ready, then look after its health; return once it has been silent for too long."""
        try:
            async with asyncio.timeout(self._policy.start_deadline_s):
                await self._until_up(launch, up)
                await self._job.ready(launch)
        except TimeoutError:
            return f"it was not ready within {self._policy.start_deadline_s:.0f} s"
        self._board.move(Event.CAME_UP, self._job.note, progress=1.0)
        return await self._while_healthy(launch)

    async def _until_up(self, launch: Launch, up: asyncio.Event) -> None:
        """Wait for the line that says so, or, if a release words it otherwise, for a healthy answer."""
        while not up.is_set():
            try:
                async with asyncio.timeout(10 * self._policy.ready_poll_s):
                    await up.wait()
            except TimeoutError:
                if await self._job.healthy(launch.url):
                    return

    async def _while_healthy(self, launch: Launch) -> str:
        silent = 0
        while silent < self._policy.silent_looks:
            await self._around.sleep(self._policy.health_every_s)
            if await self._job.healthy(launch.url):
                if silent:
                    self._board.move(Event.CAME_UP, self._job.note, progress=1.0)
                silent = 0
            else:
                if not silent:
                    self._board.move(Event.WENT_SILENT, "The engine does not answer; waiting for it.")
                silent += 1
        return f"it gave no sign of life {silent} times in a row"


def _ended(status: int | None) -> str:
    if status == _KILLED:
        return "it was killed, by hand or by the system for lack of memory"
    return f"it ended with status {status}"


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end; what they raise was either looked at or does not matter any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
