"""Run a command that installs or converts something, with low priority and a timeout."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Mapping

from engine.errors import InstallError
from engine.notes import EngineNote, NoteCode
from engine.oom.log_tail import LogTail
from engine.planning.launch import remove_own_variables
from engine.tasks import terminate_child

_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL") if sys.platform == "linux" and shutil.which("setpriv") else ()
"""The kernel kills the command when this process is killed: the next attempt deletes the files it writes to."""
_LOW_PRIORITY = ("nice", "-n", "5") if shutil.which("nice") else ()
"""Answers have priority."""
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


async def run_command(
    argv: tuple[str, ...],
    deadline_s: float,
    failed: EngineNote | str,
    on_line: Callable[[str], None] = lambda _: None,
    environment: Mapping[str, str] | None = None,
    hidden: Collection[str] = (),
) -> None:
    """Run a command. It ends when the caller is cancelled or this process ends.

    Args:
        argv: the command.
        deadline_s: the timeout.
        failed: the beginning of the error sentence.
        on_line: receives each output line.
        environment: None for this process's own, without secrets.
        hidden: the names of more secrets in this process's own environment.

    Raises:
        InstallError: the command failed, or it took too long.

    """
    tail = LogTail()
    own = {
        "UV_HTTP_TIMEOUT": "120",
        **remove_own_variables(os.environ, hidden),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    child = await asyncio.create_subprocess_exec(
        *_DIE_WITH_PARENT,
        *_LOW_PRIORITY,
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=own if environment is None else environment,
    )
    try:
        async with asyncio.timeout(deadline_s):
            while child.stdout is not None and (chunk := await child.stdout.read(65536)):
                for line in tail.decode(chunk):
                    on_line(line)
            await child.wait()
    except TimeoutError as error:
        raise InstallError(NoteCode.COMMAND_LATE.fill(failed=failed, minutes=deadline_s / 60)) from error
    finally:
        await terminate_child(child)
    if child.returncode:
        why = _CREDENTIALS.sub("", " ".join(line.strip() for line in tail.lines[-3:]))[-300:]
        raise InstallError(NoteCode.COMMAND_FAILED.fill(failed=failed, why=why or NoteCode.NO_REASON.fill()))
