"""Starts programs of tests as forks of one process that has imported what commands need, most of the work of a start.

Each is a process of its own with its own environment. No modules of Kvasir import each other in a circle, so their
order does not matter. ``call_command`` is faster still, for most tests of a command: it runs in the tests' process.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from runpy import run_module
from typing import IO

import structlog

_IMPORTED = (
    __name__, "alembic.command", "bot.audit.file_log", "bot.cli.command_settings", "bot.cli.commands.run",
    "bot.cli.status_view", "bot.health.probes", "bot.library_opening", "bot.local_workspace", "bot.metrics",
    "bot.security.audit", "bot.slack.turns.dependencies", "bot.slack.workspace.app", "knowledge.stores.lancedb.store",
    "knowledge.sync.schedule",
)  # fmt: skip
_SET_BY_IMPORTS = ("LANCE_", "ORT_")
"""How variables begin that Kvasir sets for libraries when it imports them."""

# The process that forks does nothing with LanceDB, so no fork interrupts it.
warnings.filterwarnings("ignore", "lancedb fork support is experimental")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(list(_IMPORTED))
_WARMING = threading.Lock()
_warm = threading.Event()
_calling = threading.Lock()

Stream = int | IO[bytes]
"""A pipe, the null device or an open file."""


class Fork:
    """A process as those of ``asyncio.subprocess``."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal.

        Raises:
            ProcessLookupError: it has ended.

        """
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, as ``send_signal`` does."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end and return its exit status."""
        while (status := self.returncode) is None:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
        return status

    async def communicate(self, stdin: bytes = b"") -> tuple[bytes, bytes]:
        """Write all standard input; return all output and errors, and wait for the end."""
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.stdin.write(stdin)
                await self.stdin.drain()
            self.stdin.close()
        streams = [stream.read() for stream in (self.stdout, self.stderr) if stream is not None]
        read = iter(await asyncio.gather(*streams))
        output = [next(read) if stream is not None else b"" for stream in (self.stdout, self.stderr)]
        await self.wait()
        return output[0], output[1]


async def start_fork(
    program: Callable[..., None],
    *arguments: object,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Stream = DEVNULL,
    stdout: Stream = DEVNULL,
    stderr: Stream | None = None,
) -> Fork:
    """Call a function in a process of its own; errors without a stream go where those of the tests go."""
    if not _warm.is_set():
        await asyncio.to_thread(_warm_up)
    ours: list[int | None] = []
    theirs: list[Connection | None] = []
    try:
        for number, stream in enumerate((stdin, stdout, stderr)):
            end, other = _open_stream(number, stream)
            ours.append(end)
            theirs.append(other)
        environ = dict(os.environ if env is None else env)
        process = _FORKS.Process(target=_run, args=(program, arguments, environ, cwd, theirs), daemon=True)
        process.start()  # in the thread that polls: two would read an exit status twice
    except BaseException:
        for end in ours:
            if end is not None:
                os.close(end)
        raise
    finally:
        for one in theirs:
            if one is not None:
                one.close()
    fork = Fork(process)
    try:
        if ours[0] is not None:
            fork.stdin = await _connect_writer(ours[0])
        fork.stdout, fork.stderr = [None if end is None else await _connect_reader(end) for end in ours[1:]]
    except BaseException:
        await end_fork(fork)
        raise
    return fork


async def start_command(arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, **streams: Stream) -> Fork:
    """Start a command of Kvasir as ``python -m bot`` does."""
    return await start_fork(_become_command, arguments, env=env, cwd=cwd, **streams)


async def run_fork(program: Callable[..., None], *arguments: object, timeout_s: float) -> int:
    """Call a function in a process of its own; return its exit status, negative for a signal."""
    fork = await start_fork(program, *arguments)
    try:
        return await asyncio.wait_for(fork.wait(), timeout_s)
    finally:
        await end_fork(fork)


async def run_command(
    folder: Path, environ: Mapping[str, str], arguments: Sequence[str], stdin: bytes = b"", *, timeout_s: float
) -> tuple[int, str, str]:
    """Run a command of Kvasir; return its exit status, standard output and standard error."""
    fork = await start_command(arguments, env=environ, cwd=folder, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        out, err = await asyncio.wait_for(fork.communicate(stdin), timeout_s)
        return await fork.wait(), out.decode(), err.decode()
    finally:
        await end_fork(fork)


async def call_command(
    folder: Path, environ: Mapping[str, str], arguments: Sequence[str], stdin: bytes = b""
) -> tuple[int, str, str]:
    """Run a command in this process, which has the embedder in its memory; return what ``run_command`` does.

    One runs at a time. Its logs and bars go where those of the tests go.
    """
    from bot.__main__ import PRIVATE_UMASK, _run_command, build_parser  # noqa: PLC0415 - forks run it as a program

    assert _calling.acquire(blocking=False), "commands at the same time need a process each"
    before, here, umask = dict(os.environ), Path.cwd(), os.umask(PRIVATE_UMASK)
    root, structure, read = logging.getLogger(), structlog.get_config(), sys.stdin
    handlers, level = root.handlers[:], root.level
    out, err = io.StringIO(), io.StringIO()
    try:
        _set_environ(environ)
        os.chdir(folder)
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = await _run_command(build_parser().parse_args(arguments))
            except SystemExit as ended:
                status = int(ended.code or 0)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        sys.stdin, root.handlers, root.level = read, handlers, level
        structlog.configure(**structure)
        os.chdir(here)
        _set_environ(before)
        os.umask(umask)
        _calling.release()
    return status, out.getvalue(), err.getvalue()


async def end_fork(fork: Fork) -> None:
    """Kill a process if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        fork.kill()
    await fork.wait()


def _warm_up() -> None:
    """Wait until the process that forks has imported everything."""
    with _WARMING:
        if not _warm.is_set():
            process = _FORKS.Process(target=int, daemon=True)
            process.start()
            process.join()
            _warm.set()


def _open_stream(number: int, stream: Stream | None) -> tuple[int | None, Connection | None]:
    """Return our end of a pipe, and what the process gets as its standard stream of that number."""
    if stream is None:
        return None, None
    if stream == PIPE:
        read, write = os.pipe()
        ends = (write, read) if number == 0 else (read, write)
        return ends[0], Connection(ends[1])
    if stream == DEVNULL:
        return None, Connection(os.open(os.devnull, os.O_RDWR))
    assert not isinstance(stream, int), "there are only PIPE, DEVNULL and files"
    return None, Connection(os.dup(stream.fileno()))


async def _connect_reader(end: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(end))
    return reader


async def _connect_writer(end: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(end, "wb"))
    return asyncio.StreamWriter(transport, protocol, None, loop)


def _run(
    program: Callable[..., None],
    arguments: Sequence[object],
    environ: Mapping[str, str],
    cwd: Path | None,
    streams: Sequence[Connection | None],
) -> None:
    for number, stream in enumerate(streams):
        if stream is not None:
            os.dup2(stream.fileno(), number)
            stream.close()
    sys.stdin = open(0, encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115
    if cwd is not None:
        os.chdir(cwd)
    _set_environ(environ)
    program(*arguments)


def _set_environ(environ: Mapping[str, str]) -> None:
    for name in {one for one in os.environ if not one.startswith(_SET_BY_IMPORTS)}:
        del os.environ[name]
    os.environ.update(environ)


def _become_command(arguments: Sequence[str]) -> None:
    """Do what ``python -m bot`` does."""
    sys.argv = ["bot", *arguments]
    run_module("bot", run_name="__main__", alter_sys=True)
