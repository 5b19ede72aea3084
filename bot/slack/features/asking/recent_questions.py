"""The part of Home with the person's recent questions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from bot.languages.registry import Language
from bot.messages.durations import format_age
from bot.messages.forms import home
from bot.messages.message import render_message
from bot.slack.features.kit.home import HomeViewer, build_header, build_lines
from bot.slack.posting.ephemeral import Block
from bot.slack.turns.shared_parts import SharedParts
from bot.storage.answers import UNANSWERED_ROUTES, StoredAnswer

_MAX_SHOWN: Final = 8
_MAX_READ: Final = 50
"""Answers that are read to find those in conversations that the person is still in."""


@dataclass(frozen=True, slots=True)
class RecentQuestionsPart:
    """Lists the person's own questions, where the person still sees them."""

    shared: SharedParts

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return the newest questions, each with its link and its age."""
        stored = await self.shared.answers.list_recent(self.shared.me.team, viewer.user, _MAX_READ)
        visible = await self.shared.questions.filter_visible(stored, viewer.user, lambda answer: answer)
        lines = [await self._format_question(answer, viewer.language) for answer in visible[:_MAX_SHOWN]]
        if not lines:
            keeps = (await self.shared.preferences.find_or_default(self.shared.me.team, viewer.user)).keeps_answers
            lines = [render_message(home.NO_QUESTIONS if keeps else home.NOT_KEPT, viewer.language)]
        return [build_header(home.MY_QUESTIONS, viewer.language), *build_lines(lines, _MAX_SHOWN)[0]]

    async def _format_question(self, answer: StoredAnswer, language: Language) -> str:
        age = format_age(max(0.0, time.time() - answer.created_at), language)
        mark = f" · {render_message(home.UNANSWERED, language)}" if answer.route in UNANSWERED_ROUTES else ""
        return f"• {await self.shared.questions.format_link(answer)} · {age}{mark}"
