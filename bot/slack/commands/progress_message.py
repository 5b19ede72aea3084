"""One message in a person's direct messages that shows how a sync goes on."""

from __future__ import annotations

import asyncio

import structlog

from bot.slack.commands import texts
from bot.slack.errors import SlackError
from bot.slack.transport.calls import Calls
from knowledge.sync.report import Progress

_log = structlog.get_logger(__name__)

_PROGRESS_S = 2.0
"""Between two updates of the message."""


class Board:
    """One message in the person's direct messages, updated as a refresh goes on."""

    def __init__(self, calls: Calls, user: str) -> None:
        self._calls = calls
        self._user = user
        self._channel = ""
        self._ts = ""
        self._progress: dict[str, Progress] = {}
        self._news = asyncio.Event()

    def note(self, progress: Progress) -> None:
        """Take progress; it is shown when the next update is due."""
        self._progress[progress.source] = progress
        self._news.set()

    async def keep(self, *, chinese: bool) -> None:
        """Show the progress as it comes, not too often; runs until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            lines = [texts.progress_line(progress, chinese=chinese) for progress in self._progress.values()]
            await self.show("\n".join(lines))
            await asyncio.sleep(_PROGRESS_S)

    async def show(self, text: str) -> bool:
        """Show a text in place of the one before; False where Slack does not take it."""
        try:
            if not self._ts:
                posted = await self._calls.call("chat.postMessage", channel=self._user, text=text[: texts.TEXT])
                self._channel, self._ts = str(posted.get("channel", "")), str(posted.get("ts", ""))
            else:
                await self._calls.call("chat.update", channel=self._channel, ts=self._ts, text=text[: texts.TEXT])
        except SlackError as error:
            _log.info("progress not shown", error=str(error))
            return False
        return True
