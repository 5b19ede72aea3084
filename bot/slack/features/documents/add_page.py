"""The button "Add this page": an owner makes a web page that an answer cites a permanent document."""

from __future__ import annotations

from typing import Any

import structlog

from bot.answering.events import Finished
from bot.answering.markdown.link_policy import shorten_host
from bot.languages.registry import Language
from bot.messages.errors import explain_error
from bot.messages.forms import buttons, files
from bot.messages.message import Message, render_message
from bot.page_additions import PageAdditions
from bot.slack.features.kit import kb_texts
from bot.slack.posting.buttons import MAX_VALUE_CHARACTERS, CompleteAnswer, build_button
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from knowledge.errors import KnowledgeError, SyncRunning

_log = structlog.get_logger("kvasir.pages")

ADD_PAGE = "kvasir:add-page"
"""The action id, followed by a number; the button's value is the page's URL."""

_SYNC_WAIT_S = 600.0
"""How long an addition waits for a sync that is running."""
_MAX_BUTTONS = 4
_MAX_HOST_CHARACTERS = 52
"""Characters of a host in a button's text; Slack's limit for the text is 75."""


class AddPageAction:
    """Adds pages. Each answer is visible to the person who pressed the button only."""

    action_id = ADD_PAGE

    def __init__(self, shared: SharedParts, adding: PageAdditions) -> None:
        self._shared = shared
        self._adding = adding

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return a button for each web page that an answer cites, where an owner may see it."""
        is_shown = answer.is_shown_to_any(self._shared.access.owners)
        return build_page_buttons(answer.finished, answer.language) if is_shown else []

    async def run(self, press: ButtonPress) -> None:
        """Add the page of a button, and tell the person when search finds it, or why it does not.

        Raises:
            InteractionRefused: the person does not own all sources.

        """
        if not self._shared.access.is_owner(press.user):
            raise InteractionRefused(kb_texts.explain_owners_only(self._shared.access.owners))
        try:
            added = await self._adding.add_page(press.value, by=press.user)
        except KnowledgeError as error:  # its text may have the address, so it is not logged
            await self._shared.messenger.reply_to_press(press, explain_error(error))
            return
        # Neither the address, which may be for few people, nor its query, which may hold a key.
        _log.info("page added", user=press.user, source=self._adding.source, new=added is not None)
        fields = {"url": press.value, "source": self._adding.source}
        if added is None:
            await self._shared.messenger.reply_to_press(press, buttons.PAGE_EXISTS.fill(**fields))
            return
        await self._shared.messenger.reply_to_press(press, buttons.PAGE_SAVED.fill(**fields))
        await self._shared.messenger.reply_to_press(
            press, await self._index_page(added.document) or buttons.PAGE_SEARCHABLE.fill(**fields)
        )

    async def _index_page(self, document: str) -> Message | None:
        """Read and index a page; return why search does not find it, None if it does."""
        try:
            return await self._adding.sync_page(document, patience_s=_SYNC_WAIT_S)
        except SyncRunning:
            return files.SEARCHABLE_LATER
        except KnowledgeError as error:
            return explain_error(error)


def build_page_buttons(finished: Finished, language: Language) -> list[dict[str, Any]]:
    """Return a button for each web page that an answer cites; an owner adds the page with it."""
    by_url: dict[str, dict[str, Any]] = {}
    for one in finished.cited:
        if one.web is not None and one.url and len(one.url) <= MAX_VALUE_CHARACTERS:
            host = shorten_host(one.web.host, _MAX_HOST_CHARACTERS)
            label = render_message(buttons.ADD_PAGE, language, n=one.n, host=host)
            by_url.setdefault(one.url, build_button(f"{ADD_PAGE}:{one.n}", label, one.url))
    return list(by_url.values())[:_MAX_BUTTONS]
