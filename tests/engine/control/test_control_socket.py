"""Commands over the control socket: who may send them, what is refused, and that faulty ones do no harm."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.control.commands import CommandRunner
from engine.control.control_socket import EngineAction, EngineCommand, send_command, serve_commands
from engine.control.lifecycle import LifecycleEvent
from engine.control.status import StatusBoard
from engine.errors import EngineRefused, EngineUnavailable
from engine.interfaces import EngineState
from engine.notes import NoteCode
from tests.engine.fakes import until


@asynccontextmanager
async def _orders(folder: Path, board: StatusBoard, runs: list[bool]) -> AsyncIterator[None]:
    """Run an engine that is up at once until it is cancelled."""

    async def run(fresh: bool) -> None:  # noqa: FBT001
        runs.append(fresh)
        board.apply_event(LifecycleEvent.LAUNCH)
        board.apply_event(LifecycleEvent.READY)
        await asyncio.Event().wait()

    orders = CommandRunner(board, run)
    async with serve_commands(folder, orders.accept_command):
        task = asyncio.create_task(orders.run())
        try:
            await until(lambda: bool(runs))
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_another_process_stops_starts_and_restarts(tmp_path: Path) -> None:
    board, runs = StatusBoard(), list[bool]()
    folder = tmp_path / ("deep" * 30)  # longer than a socket's name may be
    folder.mkdir()
    async with _orders(folder, board, runs):
        with pytest.raises(EngineRefused, match="ready already"):
            await send_command(folder, EngineCommand(EngineAction.START))
        assert "stopped" in await send_command(folder, EngineCommand(EngineAction.STOP))
        await until(lambda: board.status.state is EngineState.ABSENT)
        assert "kvasir engine start" in board.status.detail
        with pytest.raises(EngineRefused, match="stopped already"):
            await send_command(folder, EngineCommand(EngineAction.STOP))
        await send_command(folder, EngineCommand(EngineAction.START))
        await until(lambda: len(runs) == 2)
        await send_command(folder, EngineCommand(EngineAction.RESTART, fresh=True))
        await until(lambda: len(runs) == 3)
        assert runs == [False, False, True]
        await until(lambda: board.status.state is EngineState.READY)
    with pytest.raises(EngineUnavailable, match="kvasir run"):
        await send_command(folder, EngineCommand(EngineAction.START))
    assert list(folder.iterdir()) == []


async def test_start_after_a_failure() -> None:
    board, runs = StatusBoard(), list[int]()

    async def run(_: bool) -> None:  # noqa: FBT001
        runs.append(1)
        board.apply_event(LifecycleEvent.LAUNCH)
        board.apply_event(LifecycleEvent.GIVE_UP, NoteCode.FAILED_UNEXPECTEDLY.fill())

    orders = CommandRunner(board, run)
    task = asyncio.create_task(orders.run())
    await until(lambda: len(runs) == 1)
    for order in (EngineAction.START, EngineAction.RESTART):
        orders.accept_command(EngineCommand(order))
        before = len(runs)
        await until(lambda: len(runs) == before + 1)  # noqa: B023
        assert board.status.state is EngineState.FAILED
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(EngineRefused, match="does not run"):
        orders.accept_command(EngineCommand(EngineAction.STOP))


async def test_two_simultaneous_starts_start_once() -> None:
    board, runs = StatusBoard(), list[int]()

    async def run(_: bool) -> None:  # noqa: FBT001
        runs.append(1)
        board.apply_event(LifecycleEvent.LAUNCH)
        await asyncio.Event().wait()

    orders = CommandRunner(board, run)
    task = asyncio.create_task(orders.run())
    await until(lambda: len(runs) == 1)
    orders.accept_command(EngineCommand(EngineAction.STOP))
    await until(lambda: board.status.state is EngineState.ABSENT)
    orders.accept_command(EngineCommand(EngineAction.START))
    orders.accept_command(EngineCommand(EngineAction.START))
    await until(lambda: len(runs) == 2)
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert (len(runs), board.status.state, done) == (2, EngineState.STARTING, set())
    task.cancel()
    await asyncio.wait([task])


async def test_unexpected_error_is_raised() -> None:
    async def run(_: bool) -> None:  # noqa: FBT001
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await CommandRunner(StatusBoard(), run).run()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[]\n", b'{"order": "burn"}\n', b"x" * 100_000, b"[" * 4000 + b"\n"])
async def test_invalid_commands_do_no_harm(tmp_path: Path, line: bytes) -> None:
    async with _orders(tmp_path, StatusBoard(), []):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        writer.write(line)
        answer = await reader.read()
        writer.close()
        assert not answer or json.loads(answer)["ok"] is False
        assert "restarted" in await send_command(tmp_path, EngineCommand(EngineAction.RESTART))


async def test_socket_is_private_and_replaces_a_stale_one(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control.sock"))
    left.close()
    with pytest.raises(EngineUnavailable):
        await send_command(tmp_path, EngineCommand(EngineAction.STOP))
    async with _orders(tmp_path, StatusBoard(), []):
        mode = (tmp_path / "control.sock").stat().st_mode
        assert (stat.S_IMODE(mode), stat.S_ISSOCK(mode)) == (0o600, True)
        assert "restarted" in await send_command(tmp_path, EngineCommand(EngineAction.RESTART))


async def test_silent_connection_does_not_delay_the_end(tmp_path: Path) -> None:
    """The owner's end does not wait for a connection that sends nothing."""
    async with _orders(tmp_path, StatusBoard(), []):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        await asyncio.sleep(0)
    writer.close()
    assert not os.path.lexists(tmp_path / "control.sock")
