"""Keeps one engine running: start, readiness, health, restart with back-off, a bounded crash loop, stop."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.client.wire import Loads
from engine.control.lifecycle import Event
from engine.control.status import StatusBoard
from engine.errors import EngineError
from engine.interfaces import State
from engine.oom.log_diagnosis import Death, Observed, ended, lingers, trouble
from engine.oom.log_tail import READY_LINE, LogTail, milestone, reason
from engine.oom.state import Load, RestartDecision
from engine.planning.cgroups import oom_kills
from engine.planning.launch import Launch
from engine.process.health import Watchman
from engine.process.sglang_process import EngineProcess, free_port

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
    token_deadline_s: float = 180.0
    """Requests under way for so long without a token read or written count as a crash; a chunk of a long prompt may
    take a slow CPU a minute."""
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


async def _no_loads() -> None:
    """Know nothing of the load."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is kept running."""

    launch: Callable[[int], Awaitable[Launch]]
    """Turns a port into a start; asked anew for each, which may be another than the one before."""
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
    note: Callable[[Load], str] = lambda _: ""
    """From the load since the start: what is shown while it is ready, "" where there is nothing to say."""
    grace_s: float = 10.0
    """From asking the process to end to killing it; SGLang takes up to 8 s."""
    judge: Callable[[Death], RestartDecision | None] = lambda _: None
    """Says what follows from an end; None for a crash like any other."""
    loads: Callable[[], Awaitable[Loads | None]] = _no_loads
    """Asks how busy it is, within a deadline of its own."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a test replaces: time, chance and ports."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    port: Callable[[], int] = free_port


@dataclass(frozen=True, slots=True)
class _End:
    """How one run ended."""

    why: str
    status: int | None = None
    """None: it was ended by us."""
    asked: bool = False
    """Whether somebody asked for another start."""


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
        self._observed = Observed()
        self._cut: asyncio.Future[_End] | None = None
        self.watchman = self._watchman()
        self.starts = 0
        self.ready_after_s: float | None = None
        """From the last start to ready; None before."""

    async def run(self) -> None:
        """Keep it running; returns when it is given up (the board then says FAILED), ends it when cancelled."""
        while True:
            tail, kills = LogTail(self._job.secrets), oom_kills()
            self._observed = Observed()
            self.starts += 1
            try:
                end = await self._once(await self._job.launch(self._around.port()), tail)
            except OSError as error:
                end = self._end("it could not be started", None, [str(error)])
            if end.asked:
                self._board.move(Event.RESTART, end.why, progress=self._job.progress_from)
            elif not await self._goes_on(end, tail.lines, kills):
                return

    def restart(self, why: str) -> None:
        """End the present run and start anew; ``why`` is shown meanwhile."""
        self._end_now(_End(why, asked=True))

    async def _goes_on(self, end: _End, lines: Sequence[str], kills: int | None) -> bool:
        """Do what follows from the end of a run, and return whether there is another."""
        now = oom_kills()
        killed = None if kills is None or now is None else now - kills
        verdict = self._job.judge(Death(lines, end.status, self._observed, killed))
        if verdict is not None and verdict.again:
            self._board.move(Event.DIED, verdict.why, progress=self._job.progress_from)
            return True
        delay_s = self._crashes.record(self._around.now()) if verdict is None else None
        if delay_s is None:
            gone = f"The engine does not stay up: {end.why}. See engine.log, then start again."
            self._board.move(Event.GAVE_UP, gone if verdict is None else verdict.why)
            return False
        self._board.move(Event.DIED, f"Restarting in {delay_s:.0f} s: {end.why}", progress=self._job.progress_from)
        await self._around.sleep(delay_s)
        self._board.note(f"The engine is starting again: {end.why}", progress=self._job.progress_from)
        return True

    async def _once(self, launch: Launch, tail: LogTail) -> _End:
        """Run it once and return how it ended."""
        up = asyncio.Event()
        cut = self._cut = asyncio.get_running_loop().create_future()
        process = await EngineProcess.start(
            launch, lock=self._job.lock, tail=tail, on_line=lambda line: self._line(line, up), grace_s=self._job.grace_s
        )
        ended_by_itself = asyncio.create_task(process.wait(), name="engine-process")
        watching = asyncio.create_task(self._watch(launch, process, up), name="engine-health")
        try:
            await asyncio.wait([ended_by_itself, watching, cut], return_when=asyncio.FIRST_COMPLETED)
            if ended_by_itself.done():
                status = ended_by_itself.result()
                return self._end(ended(Death(tail.lines, status)), status, tail.lines)
            return cut.result() if cut.done() else _End(watching.result())
        except EngineError as error:
            return _End(str(error))
        finally:
            await _cancelled(ended_by_itself, watching)
            await process.stop()

    def _end_now(self, end: _End) -> None:
        if self._cut is not None and not self._cut.done():
            self._cut.set_result(end)

    def _end(self, how: str, status: int | None, lines: Sequence[str]) -> _End:
        known = trouble(lines)
        told = reason(lines)
        return _End(f"{how}: {known.sentence} ({told})" if known is not None else f"{how}: {told}", status)

    def _line(self, line: str, up: asyncio.Event) -> None:
        self._job.on_line(line)
        self._observed = self._observed.after(line)
        if READY_LINE in line:
            up.set()
        elif lingers(line):
            self._end_now(self._end("it could not go on", None, [line]))
        elif self._board.status.state is State.STARTING and (step := milestone(line)):
            share, doing = step
            done = self._job.progress_from
            self._board.note(f"The engine is {doing}.", progress=done + (1 - done) * share)

    async def _watch(self, launch: Launch, process: EngineProcess, up: asyncio.Event) -> str:
        """Wait until it is ready, then look after its health; return once it counts as crashed."""
        began_s = self._around.now()
        try:
            async with asyncio.timeout(self._policy.start_deadline_s):
                await self._until_up(launch, process, up)
                await self._job.ready(launch)
        except TimeoutError:
            return f"it was not ready within {self._policy.start_deadline_s:.0f} s"
        self._observed = replace(self._observed, ready=True)
        self.ready_after_s = self._around.now() - began_s
        self.watchman = self._watchman()
        self._board.move(Event.CAME_UP, self._job.note(self.watchman.load), progress=1.0)
        return await self._while_healthy(launch)

    async def _until_up(self, launch: Launch, process: EngineProcess, up: asyncio.Event) -> None:
        """Wait for the line that says so, or, if a release words it otherwise, for a healthy answer."""
        while not up.is_set():
            try:
                async with asyncio.timeout(10 * self._policy.ready_poll_s):
                    await up.wait()
            except TimeoutError:
                if await process.listens(launch.port) and await self._job.healthy(launch.url):
                    return

    async def _while_healthy(self, launch: Launch) -> str:
        while True:
            await self._around.sleep(self._policy.health_every_s)
            healthy, loads = await self._job.healthy(launch.url), await self._job.loads()
            gone = self.watchman.look(
                self._around.now(), healthy=healthy, loads=loads, retractions=self._observed.retractions
            )
            if gone is not None:
                return gone
            if healthy:
                self._show_well(self._job.note(self.watchman.load))
            elif self._board.status.state is State.READY:
                self._board.move(Event.WENT_SILENT, "The engine does not answer; waiting for it.")

    def _show_well(self, note: str) -> None:
        if self._board.status.state is State.DEGRADED:
            self._board.move(Event.CAME_UP, note, progress=1.0)
        elif self._board.status.state is State.READY:
            self._board.note(note, progress=1.0)

    def _watchman(self) -> Watchman:
        return Watchman(self._policy.silent_looks, self._policy.token_deadline_s)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end; what they raise was either looked at or does not matter any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
