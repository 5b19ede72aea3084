"""Wait for the end of tasks and child processes, and end them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

_GRACE_S = 5.0
"""How long a child has to end after SIGTERM."""
_PLAIN_VARIABLES = (
    "PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR",
)  # fmt: skip


async def wait_for_end(future: asyncio.Future[Any]) -> None:
    """Wait until a task or future is done, even if the caller is cancelled meanwhile; then raise the cancellation."""
    is_cancelled = False
    while not future.done():
        try:
            await asyncio.gather(asyncio.shield(future), return_exceptions=True)
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError


async def cancel_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks and wait for their end; ignore their errors. None is a task that was never started."""
    started = [task for task in tasks if task is not None]
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)


def is_hurried() -> bool:
    """Return whether the current task was asked to end more than once, so that it should wait for nothing."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 1


async def terminate_child(child: asyncio.subprocess.Process) -> None:
    """End a child process that may be running; first by SIGTERM, so that it removes its temporary files."""
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def copy_plain_variables(*others: str) -> dict[str, str]:
    """Return what a child process without secrets gets of the environment: plain variables, and those named here."""
    return {name: os.environ[name] for name in (*_PLAIN_VARIABLES, *others) if name in os.environ}
