"""Run a command that installs or converts something: politely, with a deadline, and never outliving this process."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Callable

from engine.errors import InstallError
from engine.oom.log_tail import LogTail
from engine.planning.launch import remove_own_variables

_GRACE_S = 5.0
_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL") if sys.platform == "linux" and shutil.which("setpriv") else ()
"""The kernel ends the command when this process is killed: the next attempt deletes what it would still write to."""
_LOW_PRIORITY = ("nice", "-n", "5") if shutil.which("nice") else ()
"""Answers go first."""
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


async def run_command(
    argv: tuple[str, ...], deadline_s: float, failed: str, on_line: Callable[[str], None] = lambda _: None
) -> None:
    """Run a command to its end; a cancelled caller ends it, and so does the end of this process.

    Args:
        argv: the command.
        deadline_s: how long it may take.
        failed: what could not be done if it fails, as the beginning of a sentence.
        on_line: receives each line that it prints.

    Raises:
        InstallError: it failed, or the deadline passed.

    """
    tail = LogTail()
    environment = {
        "UV_HTTP_TIMEOUT": "120",
        **remove_own_variables(os.environ),
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
        env=environment,
    )
    try:
        async with asyncio.timeout(deadline_s):
            while child.stdout is not None and (chunk := await child.stdout.read(65536)):
                for line in tail.decode(chunk):
                    on_line(line)
            await child.wait()
    except TimeoutError as error:
        raise InstallError(f"{failed}: it took over {deadline_s / 60:.0f} minutes. Start again.") from error
    finally:
        await _terminate(child)
    if child.returncode:
        why = _CREDENTIALS.sub("", " ".join(line.strip() for line in tail.lines[-3:]))[-300:]
        raise InstallError(f"{failed}: {why or 'no reason given'}. Check network and disk, then start again.")


async def _terminate(child: asyncio.subprocess.Process) -> None:
    """End a child that still runs; SIGTERM first, so that it removes its own scratch files."""
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(_GRACE_S):
            await child.wait()
    except TimeoutError:
        pass
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
