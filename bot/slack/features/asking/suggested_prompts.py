"""Questions that Slack suggests to a person who opens the direct messages with Kvasir."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from bot.answering.outgoing import release_text
from bot.languages.registry import Language
from bot.messages import commands
from bot.messages.message import render_message
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError, SlackRefused
from bot.slack.wire.events import MessagesOpened
from bot.slack.wire.text.render import break_pings
from bot.storage.answers import StoredAnswer
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Viewers

_log = structlog.get_logger(__name__)

PROMPTS_METHOD: Final = "assistant.threads.setSuggestedPrompts"
_MAX_PROMPTS: Final = 4
_MAX_OWN: Final = 2
_MAX_READ: Final = 50
"""Stored answers of a person that are read."""
_MAX_QUESTION: Final = 150
_MAX_TITLE: Final = 70
_MAX_PEOPLE: Final = 10_000
_ANSWERED_ROUTES: Final = frozenset({"engine", "passages", "verified"})

Prompt = dict[str, str]
"""What Slack shows as ``title``, and sends as ``message`` if the person chooses it."""


class SuggestedPrompts:
    """Suggests a person's own frequent questions, and documents that changed lately and that the person may read."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        self._called_at: dict[str, float] = {}
        """When Slack last got suggestions for each person."""
        self._suggested: dict[str, Sequence[Prompt]] = {}
        self._waiting: dict[str, MessagesOpened] = {}
        """The newest event of each person who waits for other suggestions."""
        self._conversations: dict[str, str] = {}
        """The direct messages of each person, because not every event names them."""

    async def suggest_later(self, opened: MessagesOpened) -> None:
        """Show suggestions to a person in the background, because Slack waits for the acknowledgement."""
        self._shared.tasks.start(self.suggest_prompts(opened), "suggested prompts")

    async def suggest_prompts(self, opened: MessagesOpened) -> None:
        """Show suggestions to a person; a little later if that happened a moment ago. A failure is logged."""
        user, is_first = opened.user, opened.user not in self._waiting
        self._waiting[user] = opened
        if opened.conversation:
            self._conversations[user] = opened.conversation
        if not is_first:
            return
        try:
            due_at = self._called_at.get(user, float("-inf")) + self._shared.capabilities.prompts_every_s
            await asyncio.sleep(due_at - time.monotonic())
        finally:
            newest = self._waiting.pop(user)
        try:
            await self._show_prompts(newest)
        except (KnowledgeError, SlackError) as error:
            _log.warning("nothing suggested", user=user, error=str(error))

    async def _show_prompts(self, opened: MessagesOpened) -> None:
        user, conversation = opened.user, self._conversations.get(opened.user, "")
        refused = self._shared.capabilities.refused_methods
        if not conversation or not refused.allows_method(PROMPTS_METHOD, user):
            return
        prompts = await self._choose_prompts(opened)
        if not prompts or prompts == self._suggested.get(user):
            return
        if len(self._called_at) >= _MAX_PEOPLE:
            for remembered in (self._called_at, self._suggested, self._conversations):
                remembered.clear()
        self._called_at[user] = time.monotonic()
        title = render_message(commands.PROMPTS_TITLE, await self._shared.languages.find_language(user) or "en")
        try:
            # With a thread, Slack ignores the suggestions of an app that has an agent view.
            await self._shared.api.call(
                PROMPTS_METHOD, wait=False, channel_id=conversation, title=title, prompts=list(prompts)
            )
        except SlackRefused as error:
            refused.note_refusal(PROMPTS_METHOD, user, error)
            raise
        self._suggested[user] = prompts

    async def _choose_prompts(self, opened: MessagesOpened) -> Sequence[Prompt]:
        """Return what to suggest; nothing to people who get no answers, or who are unknown."""
        audience = await self._shared.viewers.find_person_audience(opened.user)
        if audience.refusal is not None or not audience.is_complete:
            return ()
        language = await self._shared.languages.find_language(opened.user) or "en"
        own = choose_own_questions(await self._shared.answers.list_recent(self._shared.me.team, opened.user, _MAX_READ))
        documents = await self._list_documents(audience.viewers, opened.looked_at, language)
        general = _make_prompt(
            render_message(commands.PROMPT_TITLE, language), render_message(commands.PROMPT, language)
        )
        specific = [*(_make_prompt(one, one) for one in own), *documents]
        return [*specific[: _MAX_PROMPTS - 1], general]

    async def _list_documents(self, viewers: Viewers, looked_at: str, language: Language) -> list[Prompt]:
        """Return suggestions about documents that changed lately, of the sources of the channel that is looked at."""
        within = await self._shared.rules.find_filters(looked_at, viewers) if looked_at else ""
        if within is None:  # the channel searches only sources of which the person may read nothing
            return []
        found = await self._shared.dependencies.library.list_recent(viewers, within, _MAX_PROMPTS)
        titles = [" ".join(release_text(one.title).split()) for one in found]
        return [
            _make_prompt(
                render_message(commands.DOCUMENT_PROMPT_TITLE, language, title=title),
                render_message(commands.DOCUMENT_PROMPT, language, title=title),
            )
            for title in titles
            if title and len(title) <= _MAX_QUESTION
        ]


def choose_own_questions(stored: Sequence[StoredAnswer]) -> list[str]:
    """Return the questions that a person asked most often of those that had an answer; ``stored`` has newest first."""
    questions = [
        " ".join(one.question.split())
        for one in stored
        if one.route in _ANSWERED_ROUTES and not any(passage.is_material for passage in one.passages)
    ]
    counts = Counter(question.casefold() for question in questions if 0 < len(question) <= _MAX_QUESTION)
    words = {question.casefold(): question for question in reversed(questions)}
    return [words[one] for one, _ in counts.most_common(_MAX_OWN)]


def _make_prompt(title: str, message: str) -> Prompt:
    short = title if len(title) <= _MAX_TITLE else f"{title[: _MAX_TITLE - 1]}…"
    return {"title": short, "message": break_pings(message)}
