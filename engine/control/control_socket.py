"""How one process asks another to start, stop or restart the engine of a state directory that the other owns.

The owner listens on a Unix socket beside its runtime file, which this user alone may reach; each connection carries one
line of JSON there and one back, within a deadline. An order is taken or refused at once; what comes of it is in the
runtime file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.errors import EngineRefused, EngineUnavailable

_SOCKET_NAME = "control.sock"
_DEADLINE_S = 10.0
_MAX_BYTES = 4096


class EngineAction(StrEnum):
    """What an owner can be asked."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """One order."""

    action: EngineAction
    fresh: bool = False
    """Whether the rungs that earlier failures led to are forgotten."""


AcceptCommand = Callable[[EngineCommand], str]
"""Takes an order and returns what is done about it, a sentence; raises ``EngineRefused`` for one that cannot be."""


@asynccontextmanager
async def serve_commands(folder: Path, accept: AcceptCommand) -> AsyncIterator[None]:
    """Take orders while the block runs; a folder that takes no socket is borne, and then nobody can ask.

    Only the lock's holder may listen: a socket that is there was left by one that was killed.
    """
    serving: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            serving.add(task)
            task.add_done_callback(serving.discard)
        await _serve_connection(reader, writer, accept)

    server: asyncio.Server | None = None
    with contextlib.suppress(OSError):
        server = await asyncio.start_unix_server(served, sock=_bind_socket(folder), limit=_MAX_BYTES)
    try:
        yield
    finally:
        if server is not None:
            server.close()
            (folder / _SOCKET_NAME).unlink(missing_ok=True)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def send_command(folder: Path, command: EngineCommand) -> str:
    """Ask the owner, and return its answer.

    Raises:
        EngineUnavailable: nobody listens, or no answer came in time.
        EngineRefused: the owner says why not.

    """
    try:
        async with asyncio.timeout(_DEADLINE_S):
            answer = await _exchange(folder, {"order": command.action.value, "fresh": command.fresh})
    except (OSError, TimeoutError, ValueError) as error:
        raise EngineUnavailable(
            "Nobody answers for the engine of this state directory. Is `kvasir run` up, with the same KVASIR_HOME?"
        ) from error
    if answer.get("ok") is not True:
        raise EngineRefused(str(answer.get("said") or "The order was refused."))
    return str(answer.get("said", ""))


def _bind_socket(folder: Path) -> socket.socket:
    """Return a socket that this user alone can connect to; the folder is closed to others besides."""
    made = socket.socket(socket.AF_UNIX)
    try:
        with _shorten_path(folder) as path:
            path.unlink(missing_ok=True)
            made.bind(str(path))
            path.chmod(0o600)
    except BaseException:
        made.close()
        raise
    return made


async def _exchange(folder: Path, message: dict[str, object]) -> dict[str, object]:
    with _shorten_path(folder) as path:
        reader, writer = await asyncio.open_unix_connection(path, limit=_MAX_BYTES)
    try:
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline())
    finally:
        writer.close()
    return answer if isinstance(answer, dict) else {}


async def _serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, accept: AcceptCommand) -> None:
    """Take one order from one connection; whatever is wrong with it hurts nobody else."""
    try:
        async with asyncio.timeout(_DEADLINE_S):
            if not _is_same_user(writer):
                return
            answer = _answer_line(await reader.readline(), accept)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
    except (OSError, TimeoutError, ValueError):
        pass
    finally:
        writer.close()


def _answer_line(line: bytes, accept: AcceptCommand) -> dict[str, object]:
    try:
        told = json.loads(line)
        asked = EngineCommand(EngineAction(told["order"]), told.get("fresh") is True)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {"ok": False, "said": "That is no order. Is the other process of another release?"}
    try:
        return {"ok": True, "said": accept(asked)}
    except EngineRefused as error:
        return {"ok": False, "said": str(error)}


def _is_same_user(writer: asyncio.StreamWriter) -> bool:
    """Say whether the other end is this user or the system's; the file's mode says the same where modes are kept."""
    peer: socket.socket = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return user in {0, os.getuid()}


@contextlib.contextmanager
def _shorten_path(folder: Path) -> Iterator[Path]:
    """Give a short name for the socket: the system takes no more than about 100 letters."""
    if not Path("/proc/self/fd").is_dir():
        yield folder / _SOCKET_NAME
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}") / _SOCKET_NAME
    finally:
        os.close(descriptor)
