"""Clears statuses in Slack that the end of a turn could not clear, for example because of a rate limit."""

from __future__ import annotations

from bot.slack.posting.status_line import SESSION_METHOD, WORDS_METHOD, clear_status
from bot.slack.wire.tasks import PeriodicTask
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.open_statuses import OpenStatus, OpenStatuses


class StatusCleaner(PeriodicTask):
    """Clears statuses of this process and of dead ones, with retries when Slack allows them."""

    def __init__(self, statuses: OpenStatuses, api: SlackWebApi, every_s: float) -> None:
        super().__init__("status cleaner", every_s)
        self._statuses = statuses
        self._api = api

    async def run_once(self) -> None:
        """Clear the statuses that are due. After a stop, another process or the next start clears the rest."""
        for status in await self._statuses.take_due():
            await self._clear_status(status)

    async def _clear_status(self, status: OpenStatus) -> None:
        delays = [
            await clear_status(self._api, method, status.channel, status.thread_ts)
            for method in (SESSION_METHOD, WORDS_METHOD)
        ]
        await self._statuses.settle_status(status, max((delay for delay in delays if delay is not None), default=None))
