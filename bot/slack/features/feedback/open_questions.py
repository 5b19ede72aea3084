"""What owners see of questions: those without an answer, and those whose answer has bad votes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from bot.languages.registry import Language
from bot.messages.durations import format_age
from bot.messages.forms import feedback, home, owners
from bot.messages.message import Message, join_names, render_message
from bot.slack.features.kit.home import SourceOwner, build_lines
from bot.slack.posting.ephemeral import Block
from bot.slack.turns.shared_parts import SharedParts
from bot.storage.answers import StoredAnswer
from bot.storage.feedback import StoredVote

_WEEK_S: Final = 7 * 86_400.0
_MAX_SHOWN: Final = 5
_MAX_READ: Final = 100
"""The most questions that Home reads, which many people open."""
_MAX_READ_OF_WEEK: Final = 500
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class OpenQuestionsSection:
    """Lists questions. One is named only to people of the channel in which it was asked; the others are counted."""

    shared: SharedParts

    async def build_blocks(self, owner: SourceOwner) -> list[Block]:
        """Return the newest questions of each kind."""

        def describe_reasons(vote: StoredVote) -> str:
            names = (render_message(feedback.REASON_NAMES[reason], owner.language) for reason in vote.reasons)
            return join_names(names, owner.language)

        unanswered, bad = await self._list_unanswered(owner, _MAX_READ), await self._list_bad(owner, _MAX_READ)
        return [
            *await self._list_questions(home.UNANSWERED_QUESTIONS, unanswered, owner, lambda one: one, lambda _: ""),
            *await self._list_questions(home.BAD_ANSWERS, bad, owner, lambda vote: vote.answer, describe_reasons),
        ]

    async def describe_week(self, owner: SourceOwner) -> str:
        """Return the questions of the last week; those of direct messages are counted."""
        since = time.time() - _WEEK_S
        unanswered = [one for one in await self._list_unanswered(owner, _MAX_READ_OF_WEEK) if one.created_at > since]
        bad = {
            one.answer.key: one.answer for one in await self._list_bad(owner, _MAX_READ_OF_WEEK) if one.voted_at > since
        }
        texts = [
            await self._describe_questions(owners.UNANSWERED, unanswered, owner.user, owner.language),
            await self._describe_questions(owners.BADLY_RATED, list(bad.values()), owner.user, owner.language),
        ]
        return "\n\n".join(filter(None, texts))

    async def _list_unanswered(self, owner: SourceOwner, most: int) -> Sequence[StoredAnswer]:
        """Return the questions without an answer; they belong to no source, so only owners of all sources see them."""
        return await self.shared.answers.list_unanswered(self.shared.me.team, most) if owner.owns_all else ()

    async def _list_bad(self, owner: SourceOwner, most: int) -> Sequence[StoredVote]:
        votes = await self.shared.feedback.list_bad(self.shared.me.team, most)
        return [one for one in votes if one.is_current and one.cites_source(owner.names)]

    async def _list_questions(
        self,
        title: Message,
        items: Sequence[_Item],
        owner: SourceOwner,
        get_answer: Callable[[_Item], StoredAnswer],
        describe: Callable[[_Item], str],
    ) -> list[Block]:
        """Return the newest questions that the person may see, and how many others there are."""
        if not items:
            return []
        language = owner.language
        visible = await self.shared.questions.filter_visible(items, owner.user, get_answer)
        lines = [render_message(title, language)]
        for item in visible[:_MAX_SHOWN]:
            answer = get_answer(item)
            age = format_age(max(0.0, time.time() - answer.created_at), language)
            parts = [await self.shared.questions.format_link(answer), age, describe(item)]
            lines.append("• " + " · ".join(filter(None, parts)))
        lines += _count_rest(items, visible, home.MORE_QUESTIONS, home.HIDDEN_QUESTIONS, language)
        return build_lines(lines, len(lines))[0]

    async def _describe_questions(
        self, title: Message, answers: Sequence[StoredAnswer], user: str, language: Language
    ) -> str:
        """Return the questions that an owner may see, and how many others there are."""
        if not answers:
            return ""
        public = [one for one in answers if not one.key.channel.startswith("D")]
        visible = await self.shared.questions.filter_visible(public, user, lambda one: one)
        lines = [render_message(title, language, count=len(answers))]
        lines += [f"• {await self.shared.questions.format_link(one)}" for one in visible[:_MAX_SHOWN]]
        lines += [f"• {line}" for line in _count_rest(answers, visible, owners.AND_MORE, owners.NOT_SHOWN, language)]
        return "\n".join(lines)


def _count_rest(
    items: Sequence[object], visible: Sequence[object], more: Message, hidden: Message, language: Language
) -> list[str]:
    """Return how many of the visible questions have no room, and how many the person may not see."""
    counts = {more: len(visible) - _MAX_SHOWN, hidden: len(items) - len(visible)}
    return [render_message(message, language, count=count) for message, count in counts.items() if count > 0]
