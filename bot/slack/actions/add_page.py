"""The button "Add page": an owner makes a web page that an answer cites a permanent document."""

from __future__ import annotations

import structlog

from bot.config.configuration import Access
from bot.messages import buttons, files
from bot.messages.errors import explain_error
from bot.messages.message import Message, render_both
from bot.page_additions import PageAdditions
from bot.slack.commands import kb_texts
from bot.slack.interactions import ButtonPress
from bot.slack.posting.ephemeral import EphemeralMessenger
from knowledge.errors import KnowledgeError, SyncRunning

_log = structlog.get_logger("kvasir.pages")

_SYNC_WAIT_S = 600.0
"""How long an addition waits for a sync that is running."""


class AddPageAction:
    """Adds pages. Each answer is visible to the person who pressed the button only."""

    def __init__(self, adding: PageAdditions, access: Access, messenger: EphemeralMessenger) -> None:
        self._adding = adding
        self._access = access
        self._messenger = messenger

    async def run(self, press: ButtonPress) -> None:
        """Add the page of a button, and tell the person when search finds it, or why it does not."""
        owners = self._access.owners
        if not self._access.is_owner(press.user):
            both = render_both(kb_texts.explain_owners_only(owners))
            await self._messenger.notify(press.channel, press.user, both, thread_ts=press.thread_ts)
            return
        try:
            added = await self._adding.add_page(press.value, by=press.user)
        except KnowledgeError as error:
            await self._messenger.reply(press, explain_error(error))
            return
        page = press.value.partition("?")[0]  # a query may hold a key
        _log.info("page added", user=press.user, page=page, new=added is not None)
        fields = {"url": press.value, "source": self._adding.source}
        if added is None:
            await self._messenger.reply(press, buttons.PAGE_EXISTS.fill(**fields))
            return
        await self._messenger.reply(press, buttons.PAGE_SAVED.fill(**fields))
        await self._messenger.reply(press, await self._index(added.document) or buttons.PAGE_SEARCHABLE.fill(**fields))

    async def _index(self, document: str) -> Message | None:
        """Read and index a page; return why search does not find it, None if it does."""
        try:
            return await self._adding.sync_page(document, patience_s=_SYNC_WAIT_S)
        except SyncRunning:
            return files.SEARCHABLE_LATER
        except KnowledgeError as error:
            return explain_error(error)
