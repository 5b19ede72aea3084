"""Ends the messages of refreshes that a restart has interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable

import structlog

from bot.messages import commands
from bot.messages.message import render_message
from bot.slack.wire.errors import SlackError, SlackUnavailable
from bot.slack.wire.tasks import PeriodicTask
from bot.slack.wire.text import render
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.refresh_records import RefreshRecord, RefreshRecords
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

_EVERY_S = 20.0
"""The seconds between two renewals of the leases, each with a search for interrupted refreshes."""


class RefreshKeeper(PeriodicTask):
    """Stores the messages of running refreshes, and ends those whose process has died."""

    def __init__(self, records: RefreshRecords, api: SlackWebApi) -> None:
        super().__init__("refresh keeper", _EVERY_S)
        self._records = records
        self._api = api

    @contextlib.asynccontextmanager
    async def track_refresh(self, record: RefreshRecord) -> AsyncIterator[None]:
        """Store a message until its refresh has ended; if it is cancelled, the next process ends the message."""
        await self._try_change(self._records.save_record(record))
        yield
        await self._try_change(self._records.remove_record(record))

    @staticmethod
    async def _try_change(change: Awaitable[None]) -> None:
        """Make a change; a failure is logged, because the refresh itself matters more."""
        try:
            await change
        except DatabaseError as error:
            _log.warning("refresh not stored", error=str(error))

    async def close(self) -> None:
        """Stop; another process may end the messages of this one at once."""
        if self._task is not None:
            await super().close()
            with contextlib.suppress(DatabaseError):
                await self._records.release_leases()

    async def run_once(self) -> None:
        """Renew the leases, and end the messages of interrupted refreshes."""
        await self._records.renew_leases()
        for record in await self._records.list_abandoned():
            await self._end_message(record)

    async def _end_message(self, record: RefreshRecord) -> None:
        """Replace the progress by what happened and what happens next.

        Raises:
            SlackUnavailable: Slack does not answer now.
            DatabaseError: the record is not deleted.

        """
        message = commands.APPROVAL_INTERRUPTED if record.approves else commands.REFRESH_INTERRUPTED
        source = f" {render.escape_mrkdwn(record.source)}" if record.source else ""
        text = render_message(message, record.language, source=source)
        try:
            await self._api.call("chat.update", channel=record.channel, ts=record.ts, text=text)
        except SlackUnavailable:
            raise
        except SlackError as error:  # the message is gone
            _log.info("interrupted refresh not shown", error=str(error))
        await self._records.remove_record(record)
