"""One message in a person's direct messages that shows how a sync goes on."""

from __future__ import annotations

import asyncio

import structlog

from bot.slack.commands import kb_texts
from bot.slack.errors import SlackError
from bot.slack.transport.web_api import SlackWebApi
from knowledge.sync.report import SyncProgress

_log = structlog.get_logger(__name__)

_UPDATE_EVERY_S = 2.0
"""Between two updates of the message."""


class ProgressMessage:
    """One message in the person's direct messages, updated as a refresh goes on."""

    def __init__(self, api: SlackWebApi, user: str) -> None:
        self._api = api
        self._user = user
        self._channel = ""
        self._ts = ""
        self._progress: dict[str, SyncProgress] = {}
        self._news = asyncio.Event()

    def note(self, progress: SyncProgress) -> None:
        """Take progress; it is shown when the next update is due."""
        self._progress[progress.source] = progress
        self._news.set()

    async def keep(self, *, chinese: bool) -> None:
        """Show the progress as it comes, not too often; runs until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            lines = [kb_texts.format_progress(progress, chinese=chinese) for progress in self._progress.values()]
            await self.show("\n".join(lines))
            await asyncio.sleep(_UPDATE_EVERY_S)

    async def show(self, text: str) -> bool:
        """Show a text in place of the one before; False where Slack does not take it."""
        try:
            if not self._ts:
                posted = await self._api.call(
                    "chat.postMessage", channel=self._user, text=text[: kb_texts.MAX_TEXT_CHARACTERS]
                )
                self._channel, self._ts = str(posted.get("channel", "")), str(posted.get("ts", ""))
            else:
                await self._api.call(
                    "chat.update", channel=self._channel, ts=self._ts, text=text[: kb_texts.MAX_TEXT_CHARACTERS]
                )
        except SlackError as error:
            _log.info("progress not shown", error=str(error))
            return False
        return True
