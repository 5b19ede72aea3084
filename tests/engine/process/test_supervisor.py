"""Real processes under a real warden: starts, crashes, and that no process is ever left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.control.lifecycle import LifecycleEvent
from engine.control.status import StatusBoard
from engine.interfaces import EngineState, EngineStatus
from engine.process.supervisor import CrashHistory, Supervisor, SupervisorHooks, SupervisorPolicy
from tests.engine.fakes import alive, fake_sglang, until
from tests.engine.process.supervisor_process import FAST, KEY, supervisor
from tests.services import free_ports


def _pids(folder: Path) -> list[int]:
    """Return every process that the fake engine recorded: itself, a stubborn child, and one in another session."""
    return [int(line) for line in (folder / "pids").read_text().split()] if (folder / "pids").exists() else []


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    left = [pid for pid in _pids(tmp_path) if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def _scratch(folder: Path) -> list[Path]:
    """Return the temporary folders that the fake engine made."""
    return [Path(line) for line in (folder / "scratch").read_text().split()]


@asynccontextmanager
async def _running(made: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(made.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def _board(statuses: list[EngineStatus] | None = None) -> StatusBoard:
    board = StatusBoard(statuses.append if statuses is not None else lambda _: None)
    board.apply_event(LifecycleEvent.LAUNCH)
    return board


async def test_starts_and_stops(tmp_path: Path) -> None:
    """It is ready by its log line, which lacks the key, and ends with all its processes and temporary files."""
    statuses: list[EngineStatus] = []
    board = _board(statuses)
    async with _running(supervisor(tmp_path, board)):
        await until(lambda: board.status.state is EngineState.READY)
        pids = _pids(tmp_path)
        assert len(pids) == 3
        assert all(alive(pid) for pid in pids)
        assert [one.is_dir() for one in _scratch(tmp_path)] == [True]
    assert [one.exists() for one in _scratch(tmp_path)] == [False]
    assert not any(alive(pid) for pid in pids)
    assert 0.65 in [status.progress for status in statuses]
    log = (tmp_path / "log").read_text()
    assert "server_args={'api_key': '***'}" in log
    assert KEY not in log


@pytest.mark.slow
async def test_ready_by_health_if_the_log_line_differs(tmp_path: Path) -> None:
    board = _board()
    async with _running(supervisor(tmp_path, board, "wordless")):
        await until(lambda: board.status.state is EngineState.READY)


@pytest.mark.slow
async def test_crash_loop_ends_with_the_last_meaningful_line(tmp_path: Path) -> None:
    statuses: list[EngineStatus] = []
    board = _board(statuses)
    async with asyncio.timeout(240):
        await supervisor(tmp_path, board, "crash").run()
    assert board.status.state is EngineState.FAILED
    assert "status 1: RuntimeError: Not enough memory." in board.status.detail
    assert "noise" not in board.status.detail
    assert sum("starting again" in status.detail for status in statuses) == FAST.max_crashes - 1


@pytest.mark.slow
async def test_restarts_after_crashes_and_a_kill(tmp_path: Path) -> None:
    """Two failed starts, a good one, kill -9 of the server, another good one."""
    (tmp_path / "behaviours").write_text("crash crash well well")
    board = _board()
    policy = SupervisorPolicy(start_deadline_s=15, health_interval_s=0.05, first_delay_s=0.01, max_crashes=5)
    async with _running(supervisor(tmp_path, board, policy=policy)):
        await until(lambda: board.status.state is EngineState.READY)
        first = _pids(tmp_path)
        os.kill(first[0], signal.SIGKILL)
        await until(lambda: len(_pids(tmp_path)) == 6 and board.status.state is EngineState.READY)
        assert not any(alive(pid) for pid in first)


@pytest.mark.slow
async def test_hanging_start_counts_as_a_crash(tmp_path: Path) -> None:
    board = _board()
    policy = SupervisorPolicy(start_deadline_s=0.6, ready_poll_s=0.05, first_delay_s=0.01, max_crashes=2)
    async with asyncio.timeout(240):
        await supervisor(tmp_path, board, "stuck", policy=policy).run()
    assert board.status.state is EngineState.FAILED
    assert "was not ready within" in board.status.detail


@pytest.mark.slow
async def test_failed_health_checks_degrade_then_restart(tmp_path: Path) -> None:
    """DEGRADED at once, READY again if it recovers, restarted if not."""
    statuses: list[EngineStatus] = []
    board = _board(statuses)
    policy = SupervisorPolicy(start_deadline_s=15, health_interval_s=0.1, max_failed_checks=8, first_delay_s=0.01)
    sick = tmp_path / "sick"
    async with _running(supervisor(tmp_path, board, policy=policy)):
        await until(lambda: board.status.state is EngineState.READY)
        sick.touch()
        await until(lambda: board.status.state is EngineState.DEGRADED)
        sick.unlink()
        await until(lambda: board.status.state is EngineState.READY)
        sick.touch()
        await until(lambda: len(_pids(tmp_path)) == 6)
        sick.unlink()
        await until(lambda: board.status.state is EngineState.READY)
    assert any("8 health checks in a row failed" in status.detail for status in statuses)


@pytest.mark.slow
async def test_frozen_server_is_replaced(tmp_path: Path) -> None:
    """After SIGSTOP the port accepts connections, nothing answers, and SIGTERM has no effect."""
    board = _board()
    policy = SupervisorPolicy(start_deadline_s=15, health_interval_s=0.02, max_failed_checks=2, first_delay_s=0.01)
    async with _running(supervisor(tmp_path, board, policy=policy)):
        await until(lambda: board.status.state is EngineState.READY)
        os.kill(_pids(tmp_path)[0], signal.SIGSTOP)
        await until(lambda: len(_pids(tmp_path)) == 6 and board.status.state is EngineState.READY)


@pytest.mark.slow
async def test_other_program_on_the_port_is_not_used(tmp_path: Path) -> None:
    """It would receive the key and the questions."""
    board = _board()
    policy = SupervisorPolicy(start_deadline_s=1.5, ready_poll_s=0.02, first_delay_s=0.01, max_crashes=1)
    async with fake_sglang() as other, asyncio.timeout(240):
        hooks = SupervisorHooks(find_port=lambda: int(other.url.rpartition(":")[2]))
        await supervisor(tmp_path, board, "stuck", policy=policy, surroundings=hooks).run()
    assert board.status.state is EngineState.FAILED
    assert "was not ready within" in board.status.detail


@pytest.mark.slow
async def test_port_in_use_at_the_start(tmp_path: Path) -> None:
    """The start fails on the used port and the next one uses another."""
    board = _board()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ports = iter([listener.getsockname()[1], *free_ports(1)])
        async with _running(supervisor(tmp_path, board, surroundings=SupervisorHooks(find_port=lambda: next(ports)))):
            await until(lambda: board.status.state is EngineState.READY)


@pytest.mark.slow
async def test_stuck_server_without_a_port_is_restarted(tmp_path: Path) -> None:
    """SGLang logs the error and keeps running, long before any deadline."""
    (tmp_path / "behaviours").write_text("lingers well")
    statuses: list[EngineStatus] = []
    board = _board(statuses)
    async with _running(supervisor(tmp_path, board)):
        await until(lambda: board.status.state is EngineState.READY)
    assert any("another program took its port" in status.detail for status in statuses)


@pytest.mark.slow
@pytest.mark.parametrize("after", ["nothing", "launch.yaml", "process.lock", "pids"])
async def test_cancellation_at_any_time_leaves_no_process(tmp_path: Path, after: str) -> None:
    """Before the start, with the warden, with the server, and with all processes running."""
    board = _board()
    task = asyncio.create_task(supervisor(tmp_path, board).run())
    await until(lambda: after == "nothing" or (tmp_path / after).exists())
    task.cancel()
    async with asyncio.timeout(240):
        await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.slow
async def test_second_cancellation_leaves_no_process(tmp_path: Path) -> None:
    """A second Ctrl-C during the stop: the stop still completes."""
    board = _board()
    task = asyncio.create_task(supervisor(tmp_path, board, "stubborn").run())
    await until(lambda: board.status.state is EngineState.READY)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.02)
    async with asyncio.timeout(240):
        await asyncio.wait([task])
    assert not any(alive(pid) for pid in _pids(tmp_path))


@pytest.mark.slow
async def test_killed_warden_leaves_no_process(tmp_path: Path) -> None:
    """The kernel kills the server with its warden, Kvasir kills the rest and restarts."""
    board = _board()
    async with _running(supervisor(tmp_path, board)):
        await until(lambda: board.status.state is EngineState.READY)
        server, child, _ = _pids(tmp_path)
        os.kill(_parent(server), signal.SIGKILL)
        await until(lambda: not alive(server) and not alive(child))
        await until(lambda: len(_pids(tmp_path)) == 6 and board.status.state is EngineState.READY)
        os.kill(_pids(tmp_path)[2], signal.SIGKILL)  # in a session of its own: only the warden would have found it


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", ["well", "stubborn", "stuck"])
async def test_killed_owner_leaves_no_process(tmp_path: Path, behaviour: str) -> None:
    """Kvasir is killed with -9 while the engine is up, frozen, or loading."""
    owner = subprocess.Popen(  # noqa: ASYNC220  # as fast as a fork
        [sys.executable, "-m", "tests.engine.process.supervisor_process", str(tmp_path), behaviour],
        stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    try:
        await until(lambda: len(_pids(tmp_path)) == 3)
        owner.kill()
        owner.wait()
        await until(lambda: not any(alive(pid) for pid in _pids(tmp_path)))
    finally:
        owner.kill()
        owner.wait()


@pytest.mark.slow
async def test_two_engines_never_load_at_once(tmp_path: Path) -> None:
    """A second one waits until the first one's processes have ended."""
    first, second = _board(), _board()
    async with _running(supervisor(tmp_path, first, "stubborn")) as task:
        await until(lambda: first.status.state is EngineState.READY)
        before = _pids(tmp_path)
        task.cancel()
        async with _running(supervisor(tmp_path, second)):
            await until(lambda: len(_pids(tmp_path)) > 3)
            assert not alive(before[0])
            await until(lambda: second.status.state is EngineState.READY)


def test_backoff_doubles_up_to_a_limit_and_expires() -> None:
    crashes = CrashHistory(
        SupervisorPolicy(first_delay_s=1, max_delay_s=5, max_crashes=6, crash_window_s=100), jitter=lambda: 1.0
    )
    assert [crashes.record_crash(now) for now in range(6)] == [1, 2, 4, 5, 5, None]
    assert crashes.record_crash(1000) == 1
    half = CrashHistory(SupervisorPolicy(first_delay_s=1), jitter=lambda: 0.0)
    assert half.record_crash(0) == 0.5


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
