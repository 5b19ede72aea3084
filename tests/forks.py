"""Starts programs of tests as forks of one process that has imported what commands need, most of the work of a start.

Each is a process of its own with its own environment. No modules of Kvasir import each other in a circle, so their
order does not matter.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from runpy import run_module
from tempfile import TemporaryDirectory

_IMPORTED = (
    __name__,
    "bot.cli.command_settings",
    "bot.cli.status_view",
    "bot.library_opening",
    "knowledge.stores.lancedb.store",
)
_SET_BY_IMPORTS = ("LANCE_", "ORT_")
"""How variables begin that Kvasir sets for libraries when it imports them."""

# The process that forks does nothing with LanceDB, so no fork interrupts it.
warnings.filterwarnings("ignore", "lancedb fork support is experimental")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(list(_IMPORTED))


async def run_fork(program: Callable[..., None], *arguments: object, timeout_s: float) -> int:
    """Call a function in a process of its own; return its exit status, negative for a signal."""
    process = _FORKS.Process(target=program, args=arguments, daemon=True)
    await asyncio.to_thread(process.start)  # the first one waits for the imports
    try:
        async with asyncio.timeout(timeout_s):
            while process.exitcode is None:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.02)
    finally:
        process.kill()
        process.join()
    return process.exitcode


async def run_command(
    folder: Path, environ: Mapping[str, str], arguments: Sequence[str], stdin: bytes = b"", *, timeout_s: float
) -> tuple[int, str, str]:
    """Run a command of Kvasir; return its exit status, standard output and standard error."""
    with TemporaryDirectory() as name:
        streams = [Path(name) / stream for stream in ("stdin", "stdout", "stderr")]
        for path in streams:
            path.write_bytes(stdin if path is streams[0] else b"")
        status = await run_fork(_become_command, folder, environ, arguments, streams, timeout_s=timeout_s)
        return status, streams[1].read_text(encoding="utf-8"), streams[2].read_text(encoding="utf-8")


def _become_command(
    folder: Path, environ: Mapping[str, str], arguments: Sequence[str], streams: Sequence[Path]
) -> None:
    """Do what ``python -m bot`` does in a folder, with an environment and the files of its standard streams."""
    for number, path in enumerate(streams):
        os.dup2(os.open(path, os.O_RDWR), number)
    sys.stdin = open(0, encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115
    os.chdir(folder)
    for name in {one for one in os.environ if not one.startswith(_SET_BY_IMPORTS)}:
        del os.environ[name]
    os.environ.update(environ)
    sys.argv = ["bot", *arguments]
    run_module("bot", run_name="__main__", alter_sys=True)
