"""Owns background tasks, once or at intervals, and runs calls to their end although they are cancelled."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from bot.slack.wire.errors import SlackError, SlackUnavailable
from engine.tasks import cancel_tasks
from knowledge.errors import KnowledgeError

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class BackgroundTasks:
    """Owns the tasks that it starts: logs failures, and ends all tasks at shutdown."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task and return it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._log_failure)
        return task

    def _log_failure(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task failed", task=task.get_name(), error=type(error).__name__, exc_info=error)

    async def close(self, drain_s: float) -> None:
        """Give running tasks ``drain_s`` to end, then cancel the rest and wait for them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        await cancel_tasks(*self._tasks)


class PeriodicTask(abc.ABC):
    """Works at intervals in a task of its own. A failure is logged, and the next interval tries again."""

    def __init__(self, name: str, every_s: float) -> None:
        self._name = name
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    @abc.abstractmethod
    async def run_once(self) -> None:
        """Do the work of one interval.

        Raises:
            KnowledgeError, SlackUnavailable: it failed this time.

        """

    def start(self, delay_s: float = 0.0) -> None:
        """Work in ``delay_s``, then at intervals."""
        self._task = asyncio.create_task(self._run_periodically(delay_s), name=self._name)

    async def close(self) -> None:
        """Stop."""
        await cancel_tasks(self._task)

    async def _run_periodically(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        while True:
            try:
                await self.run_once()
            except (KnowledgeError, SlackUnavailable) as error:
                _log.warning("periodic task failed", task=self._name, error=str(error))
            await asyncio.sleep(self._every_s)


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
