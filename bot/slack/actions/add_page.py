"""The button "Add this page": an owner makes a page of the web that an answer cites a document, durably."""

from __future__ import annotations

import structlog

from bot.config.configuration import Access
from bot.page_additions import AddingPages
from bot.slack import words
from bot.slack.commands import texts
from bot.slack.errors import SlackError
from bot.slack.posting import render
from bot.slack.posting.buttons import Pressed
from bot.slack.transport.calls import Calls
from knowledge.errors import KnowledgeError, SyncRunning

_log = structlog.get_logger("kvasir.pages")

_PATIENCE_S = 600.0
"""How long a sync that is running is waited for."""


class PageDesk:
    """Takes pages in. Every answer is seen by the person alone."""

    def __init__(self, adding: AddingPages, access: Access, calls: Calls) -> None:
        self._adding = adding
        self._access = access
        self._calls = calls

    async def add(self, pressed: Pressed) -> None:
        """Add a page, and tell the person when it can be found, or why not."""
        if not self._access.is_owner(pressed.user):
            english = texts.not_an_owner(self._access.owners, chinese=False)
            await self._tell(pressed, f"{english}\n{texts.not_an_owner(self._access.owners, chinese=True)}")
            return
        try:
            added = await self._adding.keep(pressed.value, by=pressed.user)
        except KnowledgeError as error:
            await self._tell(pressed, render.escape(str(error)))
            return
        page = pressed.value.partition("?")[0]  # a query may hold a key
        _log.info("page added", user=pressed.user, page=page, new=added is not None)
        if added is None:
            await self._say(pressed, words.PAGE_THERE)
            return
        await self._say(pressed, words.PAGE_KEPT)
        try:
            why = await self._adding.take_in(added.document, patience_s=_PATIENCE_S)
        except SyncRunning:
            await self._say(pressed, words.FOUND_LATER)
        except KnowledgeError as error:
            await self._tell(pressed, render.escape(str(error)))
        else:
            await (self._tell(pressed, render.escape(why)) if why else self._say(pressed, words.PAGE_FOUND))

    async def _say(self, pressed: Pressed, told: words.Words) -> None:
        fields = {"url": pressed.value, "source": self._adding.source}
        await self._tell(pressed, render.escape(f"{told.english}\n{told.chinese}".format(**fields)))

    async def _tell(self, pressed: Pressed, text: str) -> None:
        try:
            await self._calls.call(
                "chat.postEphemeral",
                channel=pressed.channel,
                user=pressed.user,
                text=text,
                thread_ts=pressed.thread_ts,
            )
        except SlackError as error:
            _log.warning("whisper not shown", channel=pressed.channel, error=str(error))
