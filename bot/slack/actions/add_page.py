"""The button "Add this page": an owner makes a page of the web that an answer cites a document, durably."""

from __future__ import annotations

import structlog

from bot.config.configuration import Access
from bot.page_additions import PageAdditions
from bot.slack import texts as words
from bot.slack.commands import kb_texts
from bot.slack.errors import SlackError
from bot.slack.posting import render
from bot.slack.posting.buttons import ButtonPress
from bot.slack.transport.web_api import SlackWebApi
from knowledge.errors import KnowledgeError, SyncRunning

_log = structlog.get_logger("kvasir.pages")

_SYNC_WAIT_S = 600.0
"""How long a sync that is running is waited for."""


class AddPageAction:
    """Takes pages in. Every answer is seen by the person alone."""

    def __init__(self, adding: PageAdditions, access: Access, api: SlackWebApi) -> None:
        self._adding = adding
        self._access = access
        self._api = api

    async def add(self, press: ButtonPress) -> None:
        """Add a page, and tell the person when it can be found, or why not."""
        if not self._access.is_owner(press.user):
            english = kb_texts.format_owners_only(self._access.owners, chinese=False)
            await self._tell(press, f"{english}\n{kb_texts.format_owners_only(self._access.owners, chinese=True)}")
            return
        try:
            added = await self._adding.add_page(press.value, by=press.user)
        except KnowledgeError as error:
            await self._tell(press, render.escape_mrkdwn(str(error)))
            return
        page = press.value.partition("?")[0]  # a query may hold a key
        _log.info("page added", user=press.user, page=page, new=added is not None)
        if added is None:
            await self._say(press, words.PAGE_EXISTS)
            return
        await self._say(press, words.PAGE_SAVED)
        try:
            why = await self._adding.sync_page(added.document, patience_s=_SYNC_WAIT_S)
        except SyncRunning:
            await self._say(press, words.SEARCHABLE_LATER)
        except KnowledgeError as error:
            await self._tell(press, render.escape_mrkdwn(str(error)))
        else:
            await (self._tell(press, render.escape_mrkdwn(why)) if why else self._say(press, words.PAGE_SEARCHABLE))

    async def _say(self, press: ButtonPress, told: words.BilingualText) -> None:
        fields = {"url": press.value, "source": self._adding.source}
        await self._tell(press, render.escape_mrkdwn(f"{told.english}\n{told.chinese}".format(**fields)))

    async def _tell(self, press: ButtonPress, text: str) -> None:
        try:
            await self._api.call(
                "chat.postEphemeral",
                channel=press.channel,
                user=press.user,
                text=text,
                thread_ts=press.thread_ts,
            )
        except SlackError as error:
            _log.warning("whisper not shown", channel=press.channel, error=str(error))
