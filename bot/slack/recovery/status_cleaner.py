"""Clears statuses in Slack that the end of a turn could not clear, for example because of a rate limit."""

from __future__ import annotations

import asyncio

import structlog

from bot.slack.progress.status_line import SESSION_METHOD, WORDS_METHOD, clear_status
from bot.slack.transport.web_api import SlackWebApi
from bot.storage.turns.open_statuses import OpenStatus, OpenStatuses
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.turns")


class StatusCleaner:
    """Clears statuses of this process and of dead ones, with retries when Slack allows them."""

    def __init__(self, statuses: OpenStatuses, api: SlackWebApi, every_s: float) -> None:
        self._statuses = statuses
        self._api = api
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look for statuses at intervals."""
        self._task = asyncio.create_task(self._run(), name="status cleaner")

    async def close(self) -> None:
        """Stop; another process, or the next start, clears what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                for status in await self._statuses.take_due():
                    await self._clear_status(status)
            except DatabaseError as error:
                _log.warning("statuses not cleared", error=str(error))
            await asyncio.sleep(self._every_s)

    async def _clear_status(self, status: OpenStatus) -> None:
        delays = [
            await clear_status(self._api, method, status.channel, status.thread_ts)
            for method in (SESSION_METHOD, WORDS_METHOD)
        ]
        await self._statuses.settle_status(status, max((delay for delay in delays if delay is not None), default=None))
