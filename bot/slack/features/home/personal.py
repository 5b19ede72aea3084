"""The parts of Home about the person: recent questions and settings."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from bot.messages.durations import format_age
from bot.messages.forms import home, settings
from bot.messages.message import render_message
from bot.slack.conversations.stored_questions import StoredQuestions
from bot.slack.features.home.part import HomeViewer, build_header, build_lines, build_section_with_button
from bot.slack.features.settings.personal_settings import OPEN_SETTINGS
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import Block
from bot.storage.answers import UNANSWERED_ROUTES, Answers, StoredAnswer
from bot.storage.preferences import PersonalPreferences
from knowledge.language import Language

_MAX_SHOWN: Final = 8
_MAX_READ: Final = 50
"""Answers that are read to find those in conversations that the person is still in."""


@dataclass(frozen=True, slots=True)
class RecentQuestionsPart:
    """Lists the person's own questions, where the person still sees them."""

    answers: Answers
    questions: StoredQuestions
    preferences: PersonalPreferences
    team: str

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return the newest questions, each with its link and its age."""
        stored = await self.answers.list_recent(self.team, viewer.user, _MAX_READ)
        visible = await self.questions.filter_visible(stored, viewer.user, lambda answer: answer)
        lines = [await self._format_question(answer, viewer.language) for answer in visible[:_MAX_SHOWN]]
        if not lines:
            keeps = (await self.preferences.find_or_default(self.team, viewer.user)).keeps_answers
            lines = [render_message(home.NO_QUESTIONS if keeps else home.NOT_KEPT, viewer.language)]
        return [build_header(home.MY_QUESTIONS, viewer.language), *build_lines(lines, _MAX_SHOWN)[0]]

    async def _format_question(self, answer: StoredAnswer, language: Language) -> str:
        age = format_age(max(0.0, time.time() - answer.created_at), language)
        mark = f" · {render_message(home.UNANSWERED, language)}" if answer.route in UNANSWERED_ROUTES else ""
        return f"• {await self.questions.format_link(answer)} · {age}{mark}"


@dataclass(frozen=True, slots=True)
class SettingsPart:
    """Shows what the person chose, with the button that changes it."""

    preferences: PersonalPreferences
    team: str

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return the settings."""
        chosen = await self.preferences.find_or_default(self.team, viewer.user)
        summary = render_message(
            home.SETTINGS,
            viewer.language,
            reads=settings.name_language(chosen.language) if chosen.language else settings.AS_IN_SLACK,
            thinking=settings.DEPTH_NAMES[chosen.depth] if chosen.depth else settings.AS_IN_CHANNEL,
            length=settings.LENGTH_NAMES[chosen.length],
            privacy=home.ANSWERS_KEPT if chosen.keeps_answers else home.ANSWERS_NOT_KEPT,
        )
        button = build_button(OPEN_SETTINGS, render_message(home.CHANGE_SETTINGS, viewer.language), "settings")
        return [build_header(home.MY_SETTINGS, viewer.language), build_section_with_button(summary, button)]
