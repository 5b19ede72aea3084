"""Keep one engine running: start, readiness, health checks, restarts with backoff, and a limit of crashes."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.client.wire import ServerLoad
from engine.control.lifecycle import LifecycleEvent
from engine.control.status import StatusBoard
from engine.errors import EngineError
from engine.interfaces import EngineState
from engine.notes import EngineNote, NoteCode
from engine.oom.log_diagnosis import LogObservations, RunEnd, describe_exit, find_known_problem, is_stuck_line
from engine.oom.log_tail import READY_LINE, LogTail, find_milestone, summarize_failure
from engine.oom.state import PeakLoad, RestartDecision
from engine.planning.cgroups import count_oom_kills
from engine.planning.launch import Launch
from engine.process.sglang_process import SglangProcess, find_free_port
from engine.tasks import cancel_tasks


@dataclass(frozen=True, slots=True)
class SupervisorPolicy:
    """Intervals, timeouts and limits of the supervisor, in seconds."""

    start_deadline_s: float = 300.0
    ready_poll_s: float = 0.5
    health_interval_s: float = 15.0
    """The time between two health checks; each lets an idle engine generate one token."""
    max_failed_checks: int = 3
    """So many failed health checks in a row count as a crash."""
    max_failed_checks_on_cpu: int = 8
    """The same on a CPU, where other programs may slow the engine down for minutes."""
    token_deadline_s: float = 180.0
    """Requests that run so long without any progress count as a hang; a chunk of a long prompt may take a slow CPU a
    minute."""
    first_delay_s: float = 1.0
    max_delay_s: float = 60.0
    max_crashes: int = 4
    """So many crashes in the window, and the supervisor gives up."""
    crash_window_s: float = 900.0


@dataclass(slots=True)
class CrashHistory:
    """The recent crashes, and the delay after the next one."""

    policy: SupervisorPolicy
    jitter: Callable[[], float] = random.random
    _times: deque[float] = field(default_factory=deque)

    def record_crash(self, now_s: float) -> float | None:
        """Record a crash and return the delay before the next start, None to give up.

        The delay doubles with each crash in the window, with jitter between half and all of it.
        """
        while self._times and now_s - self._times[0] > self.policy.crash_window_s:
            self._times.popleft()
        self._times.append(now_s)
        if len(self._times) >= self.policy.max_crashes:
            return None
        delay = min(self.policy.first_delay_s * math.pow(2, len(self._times) - 1), self.policy.max_delay_s)
        return delay * (0.5 + self.jitter() / 2)


@dataclass(slots=True)
class HealthMonitor:
    """Evaluates the health checks of one run."""

    policy: SupervisorPolicy
    peak_load: PeakLoad = field(default_factory=PeakLoad)
    failed_checks: int = 0
    _progress_marker: tuple[str, ...] | None = None
    _stalled_since_s: float | None = None

    def add_check(
        self, now_s: float, *, healthy: bool, loads: ServerLoad | None, retractions: int = 0
    ) -> EngineNote | None:
        """Add a health check; return why it counts as a crash, or None."""
        self.failed_checks = 0 if healthy else self.failed_checks + 1
        if loads is not None:
            self.peak_load = self.peak_load.add_check(loads.cache_use, loads.waiting, retractions)
        if self.failed_checks >= self.policy.max_failed_checks:
            return NoteCode.CHECKS_FAILED.fill(checks=self.failed_checks)
        stuck_s = self._measure_stall_s(now_s, loads)
        if stuck_s >= self.policy.token_deadline_s and loads is not None:
            return NoteCode.HANGS.fill(seconds=stuck_s, running=loads.running)
        return None

    def _measure_stall_s(self, now_s: float, loads: ServerLoad | None) -> float:
        """Return how long no request has made progress."""
        if loads is None or not loads.running or loads.progress_marker is None:
            self._progress_marker, self._stalled_since_s = None, None
            return 0.0
        if loads.progress_marker != self._progress_marker or self._stalled_since_s is None:
            self._progress_marker, self._stalled_since_s = loads.progress_marker, now_s
        return now_s - self._stalled_since_s


async def _skip_load() -> None:
    """Return no load."""


@dataclass(frozen=True, slots=True)
class EngineJob:
    """The engine to run, as functions of its owner."""

    prepare_launch: Callable[[int], Awaitable[Launch]]
    """Prepares the launch on a port; called for each start, so plans may differ."""
    check_health: Callable[[str], Awaitable[bool]]
    """Checks the health of the engine at a URL within its own timeout; returns False for any failure."""
    on_ready: Callable[[Launch], Awaitable[None]]
    """Called before the state becomes READY; an ``EngineError`` counts as a crash."""
    lock_path: Path
    """The running engine holds this lock, so that two never load at once."""
    secrets: Sequence[str] = field(default=(), repr=False)
    on_line: Callable[[str], None] = lambda _: None
    start_progress: float = 0.0
    """The progress before the first start, 0 to 1."""
    list_notes: Callable[[PeakLoad], Sequence[EngineNote]] = lambda _: ()
    """Returns the notes of the status while the engine is ready, from the load since the start."""
    grace_s: float = 10.0
    """The time between SIGTERM and SIGKILL; SGLang needs up to 8 s."""
    decide_restart: Callable[[RunEnd], RestartDecision | None] = lambda _: None
    """Decides what follows from the end of a run; None for an ordinary crash."""
    fetch_load: Callable[[], Awaitable[ServerLoad | None]] = _skip_load
    """Fetches the server's load within its own timeout."""


@dataclass(frozen=True, slots=True)
class SupervisorHooks:
    """Time, randomness and ports, which tests replace."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    find_port: Callable[[], int] = find_free_port


@dataclass(frozen=True, slots=True)
class _RunResult:
    """How one run ended; ``is_restart`` if a restart was requested."""

    why: EngineNote
    status: int | None = None
    """The exit status; None if Kvasir ended the run."""
    is_restart: bool = False


class Supervisor:
    """Runs one engine until it is cancelled or gives up."""

    def __init__(
        self,
        job: EngineJob,
        board: StatusBoard,
        policy: SupervisorPolicy | None = None,
        hooks: SupervisorHooks | None = None,
    ) -> None:
        """Start nothing before ``run``."""
        self._job = job
        self._board = board
        self._policy = policy or SupervisorPolicy()
        self._hooks = hooks or SupervisorHooks()
        self._crashes = CrashHistory(self._policy, self._hooks.jitter)
        self._observations = LogObservations()
        self._result: asyncio.Future[_RunResult] | None = None
        self.health = HealthMonitor(self._policy)
        self.starts = 0
        self.startup_s: float | None = None
        """The seconds from the last start until ready; None before that."""

    async def run(self) -> None:
        """Run the engine. Return when it gives up (the status is then FAILED); stop the engine when cancelled."""
        while True:
            tail, kills = LogTail(self._job.secrets), count_oom_kills()
            self._observations = LogObservations()
            self.starts += 1
            try:
                end = await self._run_once(await self._job.prepare_launch(self._hooks.find_port()), tail)
            except OSError as error:
                end = self._describe_end(NoteCode.NOT_STARTED.fill(), None, [str(error)])
            if end.is_restart:
                self._board.apply_event(LifecycleEvent.RESTART, end.why, progress=self._job.start_progress)
            elif not await self._handle_end(end, tail.lines, kills):
                return

    def restart(self, why: EngineNote) -> None:
        """Restart the engine; ``why`` becomes the note of the status."""
        self._finish_run(_RunResult(why, is_restart=True))

    async def _handle_end(self, end: _RunResult, lines: Sequence[str], kills: int | None) -> bool:
        """Handle the end of a run; return whether to start again."""
        now = count_oom_kills()
        killed = None if kills is None or now is None else now - kills
        decision = self._job.decide_restart(RunEnd(lines, end.status, self._observations, killed))
        if decision is not None and decision.restart:
            self._board.apply_event(LifecycleEvent.CRASH, decision.why, progress=self._job.start_progress)
            return True
        delay_s = self._crashes.record_crash(self._hooks.now()) if decision is None else None
        if delay_s is None:
            problem = NoteCode.KEEPS_CRASHING.fill(why=end.why)
            self._board.apply_event(LifecycleEvent.GIVE_UP, problem if decision is None else decision.why)
            return False
        self._board.apply_event(
            LifecycleEvent.CRASH,
            NoteCode.RESTARTING_LATER.fill(delay_s=delay_s, why=end.why),
            progress=self._job.start_progress,
        )
        await self._hooks.sleep(delay_s)
        self._board.show_progress(NoteCode.STARTING_AGAIN.fill(why=end.why), progress=self._job.start_progress)
        return True

    async def _run_once(self, launch: Launch, tail: LogTail) -> _RunResult:
        """Run the engine once and return how it ended."""
        is_up = asyncio.Event()
        request = self._result = asyncio.get_running_loop().create_future()
        process = await SglangProcess.start(
            launch,
            lock=self._job.lock_path,
            tail=tail,
            on_line=lambda line: self._handle_line(line, is_up),
            grace_s=self._job.grace_s,
        )
        ended_by_itself = asyncio.create_task(process.wait(), name="engine-process")
        watching = asyncio.create_task(self._monitor_run(launch, process, is_up), name="engine-health")
        try:
            await asyncio.wait([ended_by_itself, watching, request], return_when=asyncio.FIRST_COMPLETED)
            if ended_by_itself.done():
                status = ended_by_itself.result()
                return self._describe_end(describe_exit(RunEnd(tail.lines, status)), status, tail.lines)
            return request.result() if request.done() else _RunResult(watching.result())
        except EngineError as error:
            return _RunResult(error.note)
        finally:
            await cancel_tasks(ended_by_itself, watching)
            await process.stop()

    def _finish_run(self, end: _RunResult) -> None:
        if self._result is not None and not self._result.done():
            self._result.set_result(end)

    def _describe_end(self, how: EngineNote, status: int | None, lines: Sequence[str]) -> _RunResult:
        problem, summary = find_known_problem(lines), summarize_failure(lines)
        if problem is None:
            return _RunResult(NoteCode.RUN_ENDED.fill(how=how, summary=summary), status)
        why = NoteCode.RUN_ENDED_KNOWN.fill(how=how, problem=problem.problem.fill(), summary=summary)
        return _RunResult(why, status)

    def _handle_line(self, line: str, is_up: asyncio.Event) -> None:
        self._job.on_line(line)
        self._observations = self._observations.add_line(line)
        if READY_LINE in line:
            is_up.set()
        elif is_stuck_line(line):
            self._finish_run(self._describe_end(NoteCode.STUCK.fill(), None, [line]))
        elif self._board.status.state is EngineState.STARTING and (step := find_milestone(line)):
            share, doing = step
            done = self._job.start_progress
            self._board.show_progress(doing.fill(), progress=done + (1 - done) * share)

    async def _monitor_run(self, launch: Launch, process: SglangProcess, is_up: asyncio.Event) -> EngineNote:
        """Wait until the engine is ready, then check its health; return why it counts as crashed."""
        began_s = self._hooks.now()
        try:
            async with asyncio.timeout(self._policy.start_deadline_s):
                await self._wait_until_ready(launch, process, is_up)
                await self._job.on_ready(launch)
        except TimeoutError:
            return NoteCode.LATE.fill(seconds=self._policy.start_deadline_s)
        self._observations = replace(self._observations, is_ready=True)
        self.startup_s = self._hooks.now() - began_s
        self.health = HealthMonitor(self._policy)
        self._board.apply_event(LifecycleEvent.READY, *self._job.list_notes(self.health.peak_load), progress=1.0)
        return await self._monitor_health(launch)

    async def _wait_until_ready(self, launch: Launch, process: SglangProcess, is_up: asyncio.Event) -> None:
        """Wait for the log line of readiness or, if a release changes it, for a healthy server."""
        while not is_up.is_set():
            try:
                async with asyncio.timeout(10 * self._policy.ready_poll_s):
                    await is_up.wait()
            except TimeoutError:
                if await process.is_listening(launch.port) and await self._job.check_health(launch.url):
                    return

    async def _monitor_health(self, launch: Launch) -> EngineNote:
        while True:
            await self._hooks.sleep(self._policy.health_interval_s)
            healthy, loads = await self._job.check_health(launch.url), await self._job.fetch_load()
            problem = self.health.add_check(
                self._hooks.now(), healthy=healthy, loads=loads, retractions=self._observations.retractions
            )
            if problem is not None:
                return problem
            state, notes = self._board.status.state, self._job.list_notes(self.health.peak_load)
            if state is EngineState.READY and healthy:
                self._board.show_progress(*notes, progress=1.0)
            elif state is EngineState.READY:
                self._board.apply_event(LifecycleEvent.UNRESPONSIVE, NoteCode.UNRESPONSIVE.fill())
            elif state is EngineState.DEGRADED and healthy:
                self._board.apply_event(LifecycleEvent.READY, *notes, progress=1.0)
