"""Owns background tasks and ends them at shutdown, and runs calls to their end although they are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from bot.slack.errors import SlackError

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class BackgroundTasks:
    """Owns the tasks that it starts: logs failures, and ends all tasks at shutdown."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start a task."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._log_failure)

    def _log_failure(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task failed", task=task.get_name(), error=type(error).__name__, exc_info=error)

    async def close(self, drain_s: float) -> None:
        """Give running tasks ``drain_s`` to end, then cancel the rest and wait for them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        unfinished = list(self._tasks)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


async def run_despite_cancellation(call: Coroutine[Any, Any, T], within_s: float) -> T:
    """Return what a call returns; a cancellation waits at most ``within_s`` for its end, as Slack may have done it."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(within_s):
                await task
        raise
