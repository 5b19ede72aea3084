"""One run of SGLang under its warden: start it, read its log, wait for it and stop it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from engine.files import replace_private_file
from engine.oom.log_tail import LogTail
from engine.planning.launch import HOST, Launch
from engine.process import warden
from engine.tasks import wait_for_end

_WARDEN_SLACK_S = 10.0
_CHUNK_BYTES = 65536


def find_free_port() -> int:
    """Return a free port of the loopback interface; another program may take it before its use."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class SglangProcess:
    """A running SGLang: the warden, the pipe that keeps it alive, and the task that reads its log."""

    def __init__(
        self, child: asyncio.subprocess.Process, tail: LogTail, on_line: Callable[[str], None], grace_s: float
    ) -> None:
        """Use ``start`` instead."""
        self._child = child
        self._tail = tail
        self._on_line = on_line
        self._grace_s = grace_s
        self._group: int | None = None
        self._reader = asyncio.create_task(self._read_log(), name="engine-log")

    @classmethod
    async def start(
        cls,
        launch: Launch,
        *,
        lock: Path,
        tail: LogTail,
        on_line: Callable[[str], None],
        grace_s: float,
    ) -> SglangProcess:
        """Write the configuration of the launch and start it; ``on_line`` receives each log line.

        Raises:
            OSError: the configuration cannot be written, or the process cannot be started.

        """
        launch.config_file.parent.mkdir(parents=True, exist_ok=True)
        launch.config_file.unlink(missing_ok=True)  # on a full disk its block is all the room there is
        replace_private_file(launch.config_file, launch.config)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", warden.__file__, str(lock), str(grace_s), "--", *launch.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(launch.environment),
            cwd=launch.config_file.parent,
            start_new_session=True,  # Kvasir handles a Ctrl-C in the terminal
        )  # fmt: skip
        return cls(child, tail, on_line, grace_s)

    async def is_listening(self, port: int) -> bool:
        """Return whether this process listens on the port, and not another one, which would receive the API key."""
        return await asyncio.to_thread(_is_listening, self._group, port)

    async def wait(self) -> int:
        """Wait for the process and all its children, and return the exit status; 128 + the number of a signal."""
        code = await self._child.wait()
        await asyncio.wait([self._reader], timeout=1.0)
        return code if code >= 0 else 128 - code

    async def stop(self) -> None:
        """End the process and all its children, even if the caller is cancelled."""
        ending = asyncio.create_task(self._terminate_group(), name="engine-end")
        await wait_for_end(ending)
        ending.result()

    async def _terminate_group(self) -> None:
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            async with asyncio.timeout(self._grace_s + _WARDEN_SLACK_S):
                await self._child.wait()
        except TimeoutError:
            self._child.kill()
            await self._child.wait()
        if (self._child.returncode or 0) < 0 and self._group is not None:  # only a killed warden leaves it behind
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
        await asyncio.wait([self._reader], timeout=1.0)
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def _read_log(self) -> None:
        stdout = self._child.stdout
        if stdout is None:
            return
        while chunk := await stdout.read(_CHUNK_BYTES):
            self._forward_lines(self._tail.decode(chunk))
        self._forward_lines(self._tail.flush())

    def _forward_lines(self, lines: list[str]) -> None:
        for line in lines:
            if self._group is None and line.startswith(warden.STARTED_PREFIX):
                self._group = int(line.removeprefix(warden.STARTED_PREFIX))
            else:
                self._on_line(line)


def _is_listening(group: int | None, port: int) -> bool:
    """Return whether a process of a group listens on a port."""
    with contextlib.suppress(psutil.Error, OSError):
        found = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.pid]
        return any(one.laddr and one.laddr.port == port and os.getpgid(one.pid or 0) == group for one in found)
    return False
