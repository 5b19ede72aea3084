"""The part of Home for owners: pending deletions, failing sources, and questions that went badly."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from bot.config.configuration import Access
from bot.messages.durations import format_age
from bot.messages.forms import feedback, home, owners
from bot.messages.message import Message, join_names, render_message
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.conversations.stored_questions import StoredQuestions
from bot.slack.features.home.part import HomeViewer, build_header, build_lines, build_section_with_button
from bot.slack.features.kit.kb_texts import format_approval_request
from bot.slack.features.kit.status_texts import format_failure_reason
from bot.slack.features.refreshes.pending_deletions import build_delete_button
from bot.slack.features.refreshes.refresh_source import build_refresh_button
from bot.slack.features.verified.management import VerifiedManagement
from bot.slack.features.verified.verified_command import build_entry
from bot.slack.people.roles import Role
from bot.slack.posting.ephemeral import Block, build_section
from bot.slack.wire.text import render
from bot.storage.answers import Answers, StoredAnswer
from bot.storage.feedback import Feedback, StoredVote
from knowledge.language import Language
from knowledge.status import SourceStatus

_MAX_SOURCES: Final = 10
"""Of each kind: with pending deletions, and failing."""
_MAX_QUESTIONS: Final = 5
_MAX_VERIFIED: Final = 5
_MAX_READ: Final = 100
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class OwnerPart:
    """Shows what needs an owner's attention, of the sources that the person owns."""

    library: KnowledgeLibrary
    answers: Answers
    votes: Feedback
    questions: StoredQuestions
    access: Access
    team: str
    verified_answers: VerifiedManagement

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return nothing for people who own no source."""
        sources = (await self.library.status()).sources
        owned = [one for one in sources if self.access.is_owner(viewer.user, one.name)]
        if Role.OWNER not in viewer.roles and not owned:
            return []
        names = None if Role.OWNER in viewer.roles else [one.name for one in owned]
        blocks = [
            *_list_sources([one for one in owned if one.pending_deletions], _build_pending, viewer.language),
            *_list_sources([one for one in owned if one.error or one.watch_trouble], _build_failing, viewer.language),
            *await self._list_unanswered(viewer, names),
            *await self._list_badly_rated(viewer, names),
            *await self._list_verified(viewer),
        ]
        nothing = build_section(render_message(home.NOTHING_TO_DO, viewer.language))
        return [build_header(home.FOR_OWNERS, viewer.language), *(blocks or [nothing])]

    async def _list_unanswered(self, viewer: HomeViewer, owned: Collection[str] | None) -> list[Block]:
        """Return the questions without an answer; they belong to no source, so only owners of all sources see them."""
        if owned is not None:
            return []
        unanswered = await self.answers.list_unanswered(self.team, _MAX_READ)
        return await self._list_questions(home.UNANSWERED_QUESTIONS, unanswered, viewer, lambda one: one, lambda _: "")

    async def _list_badly_rated(self, viewer: HomeViewer, owned: Collection[str] | None) -> list[Block]:
        def describe_vote(vote: StoredVote) -> str:
            return join_names(
                (render_message(feedback.REASON_NAMES[reason], viewer.language) for reason in vote.reasons),
                viewer.language,
            )

        bad = [
            one for one in await self.votes.list_bad(self.team, _MAX_READ) if one.is_current and one.cites_source(owned)
        ]
        return await self._list_questions(home.BAD_ANSWERS, bad, viewer, lambda vote: vote.answer, describe_vote)

    async def _list_verified(self, viewer: HomeViewer) -> list[Block]:
        """Return the verified answers that need the owner, with their buttons."""
        due = await self.verified_answers.list_due(viewer.user)
        if not due:
            return []
        entries = [build_entry(one, self.verified_answers.now(), viewer.language) for one in due[:_MAX_VERIFIED]]
        head = build_section(render_message(owners.VERIFIED_DUE, viewer.language, count=len(due)))
        return [head, *(block for entry in entries for block in entry)]

    async def _list_questions(
        self,
        title: Message,
        items: Sequence[_Item],
        viewer: HomeViewer,
        get_answer: Callable[[_Item], StoredAnswer],
        describe: Callable[[_Item], str],
    ) -> list[Block]:
        """Return the newest questions that the person may see, and how many others there are."""
        if not items:
            return []
        language = viewer.language
        visible = await self.questions.filter_visible(items, viewer.user, get_answer)
        lines = [render_message(title, language)]
        for item in visible[:_MAX_QUESTIONS]:
            answer = get_answer(item)
            age = format_age(max(0.0, time.time() - answer.created_at), language)
            parts = [await self.questions.format_link(answer), age, describe(item)]
            lines.append("• " + " · ".join(filter(None, parts)))
        counts = {
            home.MORE_QUESTIONS: len(visible) - _MAX_QUESTIONS,
            home.HIDDEN_QUESTIONS: len(items) - len(visible),
        }
        lines += [render_message(message, language, count=count) for message, count in counts.items() if count > 0]
        return build_lines(lines, len(lines))[0]


def _list_sources(
    sources: Sequence[SourceStatus], build: Callable[[SourceStatus, Language], Block], language: Language
) -> list[Block]:
    blocks = [build(source, language) for source in sources[:_MAX_SOURCES]]
    if more := len(sources) - len(blocks):
        blocks.append(build_section(render_message(home.MORE_SOURCES, language, count=more)))
    return blocks


def _build_pending(source: SourceStatus, language: Language) -> Block:
    return build_section_with_button(format_approval_request(source, language), build_delete_button(source, language))


def _build_failing(source: SourceStatus, language: Language) -> Block:
    reason = (
        format_failure_reason(source.error_code, source.error, language)
        if source.error
        else render.escape_mrkdwn(source.watch_trouble or "")
    )
    text = render_message(home.FAILING, language, source=render.escape_mrkdwn(source.name), reason=reason)
    return build_section_with_button(text, build_refresh_button(source.name, language))
