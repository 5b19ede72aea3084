"""Send a command (start, stop, restart) to the process that owns the engine of a state directory.

The owner listens on a Unix socket next to its runtime file; only the same user can connect. Each connection carries one
line of JSON in each direction. The owner accepts or refuses a command at once; the runtime file shows its effect.
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
from engine.notes import NoteCode
from engine.tasks import cancel_tasks

_SOCKET_NAME = "control.sock"
_DEADLINE_S = 10.0
_MAX_BYTES = 4096


class EngineAction(StrEnum):
    """What an owner can do."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """One command."""

    action: EngineAction
    fresh: bool = False
    """Whether the memory ladder is reset."""


AcceptCommand = Callable[[EngineCommand], str]
"""Accepts a command and returns a sentence for its sender; raises ``EngineRefused`` for a command it refuses."""


@asynccontextmanager
async def serve_commands(folder: Path, accept: AcceptCommand) -> AsyncIterator[None]:
    """Accept commands while the block runs; without effect if the folder's file system has no sockets.

    Only the holder of the owner lock may call this: an existing socket file is left over from a killed process.
    """
    serving: set[asyncio.Task[None]] = set()

    async def handle_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            serving.add(task)
            task.add_done_callback(serving.discard)
        await _serve_connection(reader, writer, accept)

    server: asyncio.Server | None = None
    with contextlib.suppress(OSError):
        server = await asyncio.start_unix_server(handle_connection, sock=_bind_socket(folder), limit=_MAX_BYTES)
    try:
        yield
    finally:
        if server is not None:
            server.close()
            (folder / _SOCKET_NAME).unlink(missing_ok=True)
        await cancel_tasks(*serving)


async def send_command(folder: Path, command: EngineCommand) -> str:
    """Send a command to the owner, and return its reply.

    Raises:
        EngineUnavailable: no process listens, or no reply came in time.
        EngineRefused: the owner refused the command; the text says why.

    """
    try:
        async with asyncio.timeout(_DEADLINE_S):
            answer = await _exchange_messages(folder, {"order": command.action.value, "fresh": command.fresh})
    except (OSError, TimeoutError, ValueError) as error:
        raise EngineUnavailable(NoteCode.NO_OWNER.fill()) from error
    if answer.get("ok") is not True:
        raise EngineRefused(str(answer.get("said") or "The owner refused the command."))
    return str(answer.get("said", ""))


def _bind_socket(folder: Path) -> socket.socket:
    """Return a bound socket that only this user can connect to."""
    bound = socket.socket(socket.AF_UNIX)
    try:
        with _shorten_path(folder) as path:
            path.unlink(missing_ok=True)
            bound.bind(str(path))
            path.chmod(0o600)
    except BaseException:
        bound.close()
        raise
    return bound


async def _exchange_messages(folder: Path, message: dict[str, object]) -> dict[str, object]:
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
    """Handle one connection; a faulty one does not affect others."""
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
        message = json.loads(line)
        command = EngineCommand(EngineAction(message["order"]), message.get("fresh") is True)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {"ok": False, "said": "This is not a valid command. Check that both processes run the same release."}
    try:
        return {"ok": True, "said": accept(command)}
    except EngineRefused as error:
        return {"ok": False, "said": str(error)}


def _is_same_user(writer: asyncio.StreamWriter) -> bool:
    """Return whether the peer is this user or root. The socket's file mode enforces the same where modes work."""
    peer: socket.socket = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return user in {0, os.getuid()}


@contextlib.contextmanager
def _shorten_path(folder: Path) -> Iterator[Path]:
    """Yield a short path of the socket: the system allows only about 100 characters."""
    if not Path("/proc/self/fd").is_dir():
        yield folder / _SOCKET_NAME
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}") / _SOCKET_NAME
    finally:
        os.close(descriptor)
