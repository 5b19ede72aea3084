"""One process asks another: orders over the socket, who may ask, what is refused, and what hurts nobody."""

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

from engine.control.commands import Orders
from engine.control.control_socket import Asked, Order, ask, listening
from engine.control.lifecycle import Event
from engine.control.status import StatusBoard
from engine.errors import EngineRefused, EngineUnavailable
from engine.interfaces import State
from tests.engine.fakes import until


@asynccontextmanager
async def _orders(folder: Path, board: StatusBoard, runs: list[bool]) -> AsyncIterator[None]:
    """Run something that is up at once, until it is told to end."""

    async def run(fresh: bool) -> None:  # noqa: FBT001
        runs.append(fresh)
        board.move(Event.LAUNCH)
        board.move(Event.CAME_UP)
        await asyncio.Event().wait()

    orders = Orders(board, run)
    async with listening(folder, orders.take):
        task = asyncio.create_task(orders.carry_out())
        try:
            await until(lambda: bool(runs))
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_stopped_started_and_restarted_from_elsewhere(tmp_path: Path) -> None:
    board, runs = StatusBoard(), list[bool]()
    folder = tmp_path / ("deep" * 30)  # longer than a socket's name may be
    folder.mkdir()
    async with _orders(folder, board, runs):
        with pytest.raises(EngineRefused, match="ready already"):
            await ask(folder, Asked(Order.START))
        assert "stopped" in await ask(folder, Asked(Order.STOP))
        await until(lambda: board.status.state is State.ABSENT)
        assert "kvasir engine start" in board.status.detail
        with pytest.raises(EngineRefused, match="stopped already"):
            await ask(folder, Asked(Order.STOP))
        await ask(folder, Asked(Order.START))
        await until(lambda: len(runs) == 2)
        await ask(folder, Asked(Order.RESTART, fresh=True))
        await until(lambda: len(runs) == 3)
        assert runs == [False, False, True]
        await until(lambda: board.status.state is State.READY)
    with pytest.raises(EngineUnavailable, match="kvasir run"):
        await ask(folder, Asked(Order.START))
    assert list(folder.iterdir()) == []


async def test_a_start_after_it_was_given_up() -> None:
    board, runs = StatusBoard(), list[int]()

    async def run(_: bool) -> None:  # noqa: FBT001
        runs.append(1)
        board.move(Event.LAUNCH)
        board.move(Event.GAVE_UP, "No rung is left.")

    orders = Orders(board, run)
    task = asyncio.create_task(orders.carry_out())
    await until(lambda: len(runs) == 1)
    for order in (Order.START, Order.RESTART):
        orders.take(Asked(order))
        before = len(runs)
        await until(lambda: len(runs) == before + 1)  # noqa: B023
        assert board.status.state is State.FAILED
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(EngineRefused, match="does not run"):
        orders.take(Asked(Order.STOP))


async def test_two_starts_at_the_same_moment_are_one() -> None:
    board, runs = StatusBoard(), list[int]()

    async def run(_: bool) -> None:  # noqa: FBT001
        runs.append(1)
        board.move(Event.LAUNCH)
        await asyncio.Event().wait()

    orders = Orders(board, run)
    task = asyncio.create_task(orders.carry_out())
    await until(lambda: len(runs) == 1)
    orders.take(Asked(Order.STOP))
    await until(lambda: board.status.state is State.ABSENT)
    orders.take(Asked(Order.START))
    orders.take(Asked(Order.START))
    await until(lambda: len(runs) == 2)
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert (len(runs), board.status.state, done) == (2, State.STARTING, set())
    task.cancel()
    await asyncio.wait([task])


async def test_a_fault_in_what_is_run_is_raised() -> None:
    async def run(_: bool) -> None:  # noqa: FBT001
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Orders(StatusBoard(), run).carry_out()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[]\n", b'{"order": "burn"}\n', b"x" * 100_000, b"[" * 4000 + b"\n"])
async def test_what_is_no_order_hurts_nobody(tmp_path: Path, line: bytes) -> None:
    async with _orders(tmp_path, StatusBoard(), []):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        writer.write(line)
        answer = await reader.read()
        writer.close()
        assert not answer or json.loads(answer)["ok"] is False
        assert "restarted" in await ask(tmp_path, Asked(Order.RESTART))


async def test_only_this_user_can_reach_it_and_a_left_socket_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control.sock"))
    left.close()
    with pytest.raises(EngineUnavailable):
        await ask(tmp_path, Asked(Order.STOP))
    async with _orders(tmp_path, StatusBoard(), []):
        mode = (tmp_path / "control.sock").stat().st_mode
        assert (stat.S_IMODE(mode), stat.S_ISSOCK(mode)) == (0o600, True)
        assert "restarted" in await ask(tmp_path, Asked(Order.RESTART))


async def test_one_who_says_nothing_is_left_behind(tmp_path: Path) -> None:
    """The owner's end does not wait for a connection that never asks."""
    async with _orders(tmp_path, StatusBoard(), []):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        await asyncio.sleep(0)
    writer.close()
    assert not os.path.lexists(tmp_path / "control.sock")
