"""A direct message that shows a person the progress of a refresh."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog

from bot.languages.registry import Language
from bot.slack.features.kit.status_texts import format_progress
from bot.slack.posting.ephemeral import MAX_TEXT_CHARACTERS
from bot.slack.wire.errors import SlackError
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.refresh_records import RefreshRecord
from knowledge.sync.report import SyncProgress

_log = structlog.get_logger(__name__)

_UPDATE_EVERY_S = 2.0
"""Between two updates of the message."""


class ProgressMessage:
    """One direct message, updated while a refresh runs."""

    def __init__(self, api: SlackWebApi, user: str, sources: Collection[str] | None) -> None:
        """Show the progress of ``sources`` only; None for all of them."""
        self._api = api
        self._user = user
        self._sources = sources
        self._channel = ""
        self._ts = ""
        self._progress: dict[str, SyncProgress] = {}
        self._changed = asyncio.Event()

    def make_record(self, source: str | None, language: Language, *, approves: bool) -> RefreshRecord:
        """Return where the message is and what it is about, for the process that has to end it after a restart."""
        return RefreshRecord(self._channel, self._ts, source or "", approves, language)

    def record_progress(self, progress: SyncProgress) -> None:
        """Store progress; the next update shows it if the person may see it."""
        if self._sources is None or progress.source in self._sources:
            self._progress[progress.source] = progress
            self._changed.set()

    async def keep_updated(self, language: Language) -> None:
        """Update the message with new progress at intervals, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            lines = [format_progress(progress, language) for progress in self._progress.values()]
            await self.show_text("\n".join(lines))
            await asyncio.sleep(_UPDATE_EVERY_S)

    async def show_text(self, text: str) -> bool:
        """Replace the message's text; return False if Slack refuses it."""
        try:
            if not self._ts:
                posted = await self._api.call("chat.postMessage", channel=self._user, text=text[:MAX_TEXT_CHARACTERS])
                self._channel, self._ts = str(posted.get("channel", "")), str(posted.get("ts", ""))
            else:
                await self._api.call("chat.update", channel=self._channel, ts=self._ts, text=text[:MAX_TEXT_CHARACTERS])
        except SlackError as error:
            _log.info("progress not shown", error=str(error))
            return False
        return True
