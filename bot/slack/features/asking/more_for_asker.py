"""Offers an answer of the asker's own after an answer in a channel, if the asker may see more than the channel."""

from __future__ import annotations

import asyncio

import structlog

from bot.languages.registry import Language
from bot.messages.forms import buttons
from bot.messages.message import render_message
from bot.slack.features.asking.answer_privately import ANSWER_PRIVATELY, format_question_place
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import build_section
from bot.slack.turns.shared_parts import SharedParts
from bot.storage.turns.questions import QuestionMessage
from knowledge.errors import KnowledgeError

_log = structlog.get_logger("kvasir.turns")

_DEADLINE_S = 20.0


class MoreForAsker:
    """Searches once more, for the asker alone. The offer names no source and no number."""

    def __init__(self, shared: SharedParts) -> None:
        self._library = shared.dependencies.library
        self._viewers = shared.viewers
        self._messenger = shared.messenger
        self._find_language = shared.languages.find_language
        self._tasks = shared.tasks

    def offer_later(self, message: QuestionMessage, searched: str, language: Language) -> None:
        """Look for more in the background; ``searched`` is what was searched for the channel's answer."""
        if not message.key.channel.startswith("D"):
            self._tasks.start(self._offer_more(message, searched, language), "more for the asker")

    async def _offer_more(self, message: QuestionMessage, searched: str, language: Language) -> None:
        """Show the asker a button if there is more."""
        key = message.key
        try:
            async with asyncio.timeout(_DEADLINE_S):
                if not await self._has_more(message, searched):
                    return
        except (KnowledgeError, TimeoutError) as error:
            _log.info("private answer not offered", channel=key.channel, error=type(error).__name__)
            return
        language = await self._find_language(message.user) or language
        text = render_message(buttons.MORE_FOR_YOU, language)
        label = render_message(buttons.ANSWER_PRIVATELY, language)
        button = build_button(ANSWER_PRIVATELY, label, format_question_place(message))
        blocks = [build_section(text), {"type": "actions", "elements": [button]}]
        await self._messenger.reach_person(
            key.channel, message.user, text, thread_ts=message.thread_ts, blocks=blocks, only_there=True
        )

    async def _has_more(self, message: QuestionMessage, searched: str) -> bool:
        channel = message.key.channel
        asker = await self._viewers.find_press_audience(channel, message.user)
        everybody = await self._viewers.find_channel_audience(channel, message.user)
        if asker.refusal is not None or everybody.refusal is not None or not asker.is_complete:
            return False
        return await self._library.has_more(searched, asker.viewers, everybody.viewers)
