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

from engine.client.wire import ServerLoad
from engine.control.lifecycle import LifecycleEvent
from engine.control.status import StatusBoard
from engine.errors import EngineError
from engine.interfaces import EngineState
from engine.oom.log_diagnosis import LogObservations, RunEnd, describe_exit, find_known_problem, is_stuck_line
from engine.oom.log_tail import READY_LINE, LogTail, find_milestone, summarize_failure
from engine.oom.state import PeakLoad, RestartDecision
from engine.planning.cgroups import count_oom_kills
from engine.planning.launch import Launch
from engine.process.health import HealthMonitor
from engine.process.sglang_process import SglangProcess, find_free_port

CheckHealth = Callable[[str], Awaitable[bool]]
"""Asks the engine at a URL whether it is well, within a deadline of its own; False for any failure."""


@dataclass(frozen=True, slots=True)
class SupervisorPolicy:
    """When to look, how long to wait, and when to give up; all in seconds."""

    start_deadline_s: float = 300.0
    ready_poll_s: float = 0.5
    health_interval_s: float = 15.0
    """Between two looks; one look makes an idle engine generate a token."""
    max_failed_checks: int = 3
    """So many failed looks in a row count as a crash."""
    token_deadline_s: float = 180.0
    """Requests under way for so long without a token read or written count as a crash; a chunk of a long prompt may
    take a slow CPU a minute."""
    first_delay_s: float = 1.0
    max_delay_s: float = 60.0
    max_crashes: int = 4
    """So many within the window, and it is given up."""
    crash_window_s: float = 900.0


@dataclass(slots=True)
class CrashHistory:
    """The crashes of late, and what follows from one more."""

    policy: SupervisorPolicy
    jitter: Callable[[], float] = random.random
    _times: deque[float] = field(default_factory=deque)

    def record(self, now_s: float) -> float | None:
        """Return the seconds to wait before the next start, None to give up.

        The wait doubles with each crash in the window, and is drawn between its half and its whole.
        """
        while self._times and now_s - self._times[0] > self.policy.crash_window_s:
            self._times.popleft()
        self._times.append(now_s)
        if len(self._times) >= self.policy.max_crashes:
            return None
        delay = min(self.policy.first_delay_s * math.pow(2, len(self._times) - 1), self.policy.max_delay_s)
        return delay * (0.5 + self.jitter() / 2)


async def _skip_load() -> None:
    """Know nothing of the load."""


@dataclass(frozen=True, slots=True)
class EngineJob:
    """What is kept running."""

    prepare_launch: Callable[[int], Awaitable[Launch]]
    """Turns a port into a start; asked anew for each, which may be another than the one before."""
    check_health: CheckHealth
    on_ready: Callable[[Launch], Awaitable[None]]
    """Awaited before the state becomes READY; an ``EngineError`` from it counts as a crash."""
    lock_path: Path
    """Held by the running engine, so that two never load at once."""
    secrets: Sequence[str] = field(default=(), repr=False)
    """Struck out of the log."""
    on_line: Callable[[str], None] = lambda _: None
    """Given each line of the log."""
    start_progress: float = 0.0
    """How far things were before the first start, 0 to 1."""
    describe_load: Callable[[PeakLoad], str] = lambda _: ""
    """From the load since the start: what is shown while it is ready, "" where there is nothing to say."""
    grace_s: float = 10.0
    """From asking the process to end to killing it; SGLang takes up to 8 s."""
    decide_restart: Callable[[RunEnd], RestartDecision | None] = lambda _: None
    """Says what follows from an end; None for a crash like any other."""
    fetch_load: Callable[[], Awaitable[ServerLoad | None]] = _skip_load
    """Asks how busy it is, within a deadline of its own."""


@dataclass(frozen=True, slots=True)
class SupervisorHooks:
    """What a test replaces: time, chance and ports."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    find_port: Callable[[], int] = find_free_port


@dataclass(frozen=True, slots=True)
class _RunResult:
    """How one run ended."""

    why: str
    status: int | None = None
    """None: it was ended by us."""
    is_restart: bool = False
    """Whether somebody asked for another start."""


class Supervisor:
    """Runs one engine until it is cancelled or given up."""

    def __init__(
        self,
        job: EngineJob,
        board: StatusBoard,
        policy: SupervisorPolicy | None = None,
        hooks: SupervisorHooks | None = None,
    ) -> None:
        """Take what is kept running and where its state is shown; nothing is started before ``run``."""
        self._job = job
        self._board = board
        self._policy = policy or SupervisorPolicy()
        self._hooks = hooks or SupervisorHooks()
        self._crashes = CrashHistory(self._policy, self._hooks.jitter)
        self._observations = LogObservations()
        self._result: asyncio.Future[_RunResult] | None = None
        self.health = self._create_health_monitor()
        self.starts = 0
        self.startup_s: float | None = None
        """From the last start to ready; None before."""

    async def run(self) -> None:
        """Keep it running; returns when it is given up (the board then says FAILED), ends it when cancelled."""
        while True:
            tail, kills = LogTail(self._job.secrets), count_oom_kills()
            self._observations = LogObservations()
            self.starts += 1
            try:
                end = await self._run_once(await self._job.prepare_launch(self._hooks.find_port()), tail)
            except OSError as error:
                end = self._describe_end("it could not be started", None, [str(error)])
            if end.is_restart:
                self._board.apply_event(LifecycleEvent.RESTART, end.why, progress=self._job.start_progress)
            elif not await self._handle_end(end, tail.lines, kills):
                return

    def restart(self, why: str) -> None:
        """End the present run and start anew; ``why`` is shown meanwhile."""
        self._finish_run(_RunResult(why, is_restart=True))

    async def _handle_end(self, end: _RunResult, lines: Sequence[str], kills: int | None) -> bool:
        """Do what follows from the end of a run, and return whether there is another."""
        now = count_oom_kills()
        killed = None if kills is None or now is None else now - kills
        verdict = self._job.decide_restart(RunEnd(lines, end.status, self._observations, killed))
        if verdict is not None and verdict.restart:
            self._board.apply_event(LifecycleEvent.CRASH, verdict.why, progress=self._job.start_progress)
            return True
        delay_s = self._crashes.record(self._hooks.now()) if verdict is None else None
        if delay_s is None:
            gone = f"The engine does not stay up: {end.why}. See engine.log, then start again."
            self._board.apply_event(LifecycleEvent.GIVE_UP, gone if verdict is None else verdict.why)
            return False
        self._board.apply_event(
            LifecycleEvent.CRASH, f"Restarting in {delay_s:.0f} s: {end.why}", progress=self._job.start_progress
        )
        await self._hooks.sleep(delay_s)
        self._board.show_progress(f"The engine is starting again: {end.why}", progress=self._job.start_progress)
        return True

    async def _run_once(self, launch: Launch, tail: LogTail) -> _RunResult:
        """Run it once and return how it ended."""
        up = asyncio.Event()
        cut = self._result = asyncio.get_running_loop().create_future()
        process = await SglangProcess.start(
            launch,
            lock=self._job.lock_path,
            tail=tail,
            on_line=lambda line: self._handle_line(line, up),
            grace_s=self._job.grace_s,
        )
        ended_by_itself = asyncio.create_task(process.wait(), name="engine-process")
        watching = asyncio.create_task(self._monitor_run(launch, process, up), name="engine-health")
        try:
            await asyncio.wait([ended_by_itself, watching, cut], return_when=asyncio.FIRST_COMPLETED)
            if ended_by_itself.done():
                status = ended_by_itself.result()
                return self._describe_end(describe_exit(RunEnd(tail.lines, status)), status, tail.lines)
            return cut.result() if cut.done() else _RunResult(watching.result())
        except EngineError as error:
            return _RunResult(str(error))
        finally:
            await _cancel_tasks(ended_by_itself, watching)
            await process.stop()

    def _finish_run(self, end: _RunResult) -> None:
        if self._result is not None and not self._result.done():
            self._result.set_result(end)

    def _describe_end(self, how: str, status: int | None, lines: Sequence[str]) -> _RunResult:
        known = find_known_problem(lines)
        told = summarize_failure(lines)
        return _RunResult(f"{how}: {known.sentence} ({told})" if known is not None else f"{how}: {told}", status)

    def _handle_line(self, line: str, up: asyncio.Event) -> None:
        self._job.on_line(line)
        self._observations = self._observations.add_line(line)
        if READY_LINE in line:
            up.set()
        elif is_stuck_line(line):
            self._finish_run(self._describe_end("it could not go on", None, [line]))
        elif self._board.status.state is EngineState.STARTING and (step := find_milestone(line)):
            share, doing = step
            done = self._job.start_progress
            self._board.show_progress(f"The engine is {doing}.", progress=done + (1 - done) * share)

    async def _monitor_run(self, launch: Launch, process: SglangProcess, up: asyncio.Event) -> str:
        """Wait until it is ready, then look after its health; return once it counts as crashed."""
        began_s = self._hooks.now()
        try:
            async with asyncio.timeout(self._policy.start_deadline_s):
                await self._wait_until_ready(launch, process, up)
                await self._job.on_ready(launch)
        except TimeoutError:
            return f"it was not ready within {self._policy.start_deadline_s:.0f} s"
        self._observations = replace(self._observations, is_ready=True)
        self.startup_s = self._hooks.now() - began_s
        self.health = self._create_health_monitor()
        self._board.apply_event(LifecycleEvent.READY, self._job.describe_load(self.health.peak_load), progress=1.0)
        return await self._monitor_health(launch)

    async def _wait_until_ready(self, launch: Launch, process: SglangProcess, up: asyncio.Event) -> None:
        """Wait for the line that says so, or, if a release words it otherwise, for a healthy answer."""
        while not up.is_set():
            try:
                async with asyncio.timeout(10 * self._policy.ready_poll_s):
                    await up.wait()
            except TimeoutError:
                if await process.is_listening(launch.port) and await self._job.check_health(launch.url):
                    return

    async def _monitor_health(self, launch: Launch) -> str:
        while True:
            await self._hooks.sleep(self._policy.health_interval_s)
            healthy, loads = await self._job.check_health(launch.url), await self._job.fetch_load()
            gone = self.health.add_check(
                self._hooks.now(), healthy=healthy, loads=loads, retractions=self._observations.retractions
            )
            if gone is not None:
                return gone
            if healthy:
                self._show_healthy(self._job.describe_load(self.health.peak_load))
            elif self._board.status.state is EngineState.READY:
                self._board.apply_event(LifecycleEvent.UNRESPONSIVE, "The engine does not answer; waiting for it.")

    def _show_healthy(self, note: str) -> None:
        if self._board.status.state is EngineState.DEGRADED:
            self._board.apply_event(LifecycleEvent.READY, note, progress=1.0)
        elif self._board.status.state is EngineState.READY:
            self._board.show_progress(note, progress=1.0)

    def _create_health_monitor(self) -> HealthMonitor:
        return HealthMonitor(self._policy.max_failed_checks, self._policy.token_deadline_s)


async def _cancel_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end; what they raise was either looked at or does not matter any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
