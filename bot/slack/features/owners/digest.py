"""The digest: once a week, each owner learns what needs attention in the sources that the owner manages."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from bot.config.configuration import Access
from bot.messages.durations import format_age
from bot.messages.forms import owners
from bot.messages.message import Message, render_message
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.conversations.stored_questions import StoredQuestions
from bot.slack.features.kit.status_texts import format_failure_reason
from bot.slack.features.owners.owner_messages import OwnerMessages
from bot.slack.features.verified.management import VerifiedManagement
from bot.slack.features.verified.verified_command import format_state
from bot.slack.wire.text import render
from bot.storage.answers import Answers, StoredAnswer
from bot.storage.feedback import Feedback
from bot.storage.sent_notices import SentNotices
from knowledge.errors import KnowledgeError
from knowledge.language import Language
from knowledge.status import SourceStatus

_log = structlog.get_logger("kvasir.owners")

_KIND = "digest"
_WEEK_S: Final = 7 * 86_400.0
_MAX_READ: Final = 500
_MAX_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class WeeklyDigest:
    """Builds and sends the digest. An owner for whom there is nothing gets none.

    A question is named only to people of the channel in which it was asked. Those of direct messages are counted.
    """

    answers: Answers
    votes: Feedback
    questions: StoredQuestions
    verified_answers: VerifiedManagement
    library: KnowledgeLibrary
    access: Access
    notices: SentNotices
    messages: OwnerMessages
    team: str
    now: Callable[[], float] = time.time

    async def send_digest(self) -> None:
        """Send today's digest unless another process has sent it; raises nothing."""
        try:
            today = datetime.fromtimestamp(self.now(), UTC).date().isoformat()
            if not self.access.all_owners or not await self.notices.add_notice(self.team, _KIND, today):
                return
            await self.notices.purge_notices(self.team, _KIND)
            await self.messages.send_messages(self.access.all_owners, self.build_digest)
        except KnowledgeError as error:
            _log.warning("digest not sent", error=str(error))

    async def build_digest(self, owner: str, language: Language) -> str:
        """Return the digest for an owner as mrkdwn, "" if there is nothing.

        Raises:
            DatabaseError: something cannot be read.

        """
        sources = [one for one in (await self.library.status()).sources if self.access.is_owner(owner, one.name)]
        names = None if self.access.is_owner(owner) else [one.name for one in sources]
        parts = [
            await self._describe_unanswered(owner, names, language),
            await self._describe_badly_rated(owner, names, language),
            self._describe_sources(sources, language),
            await self._describe_verified(owner, language),
        ]
        found = [part for part in parts if part]
        return "\n\n".join([render_message(owners.DIGEST, language), *found]) if found else ""

    async def _describe_unanswered(self, owner: str, owned: Collection[str] | None, language: Language) -> str:
        """Return the questions without an answer; they belong to no source, so they are for owners of all."""
        if owned is not None:
            return ""
        unanswered = await self.answers.list_unanswered(self.team, _MAX_READ)
        recent = [one for one in unanswered if self._is_recent(one.created_at)]
        return await self._describe_questions(owners.UNANSWERED, recent, owner, language)

    async def _describe_badly_rated(self, owner: str, owned: Collection[str] | None, language: Language) -> str:
        votes = await self.votes.list_bad(self.team, _MAX_READ)
        recent = {
            vote.answer.key: vote.answer
            for vote in votes
            if vote.is_current and vote.cites_source(owned) and self._is_recent(vote.voted_at)
        }
        return await self._describe_questions(owners.BADLY_RATED, list(recent.values()), owner, language)

    async def _describe_questions(
        self, title: Message, answers: Sequence[StoredAnswer], owner: str, language: Language
    ) -> str:
        """Return the questions that an owner may see, and how many others there are."""
        if not answers:
            return ""
        public = [one for one in answers if not one.key.channel.startswith("D")]
        visible = await self.questions.filter_visible(public, owner, lambda one: one)
        lines = [render_message(title, language, count=len(answers))]
        lines += [f"• {await self.questions.format_link(one)}" for one in visible[:_MAX_SHOWN]]
        counts = {owners.AND_MORE: len(visible) - _MAX_SHOWN, owners.NOT_SHOWN: len(answers) - len(visible)}
        lines += [f"• {render_message(text, language, count=count)}" for text, count in counts.items() if count > 0]
        return "\n".join(lines)

    def _describe_sources(self, sources: Sequence[SourceStatus], language: Language) -> str:
        stale = [one for one in sources if one.error or one.late]
        if not stale:
            return ""
        lines = [render_message(owners.STALE_SOURCES, language, count=len(stale))]
        lines += [f"• {_describe_source(one, language)}" for one in stale]
        return "\n".join(lines)

    async def _describe_verified(self, owner: str, language: Language) -> str:
        due = [
            f"• {render.escape_mrkdwn(one.question)} · {format_state(one, self.now(), language)}"
            for one in await self.verified_answers.list_due(owner)
        ]
        if not due:
            return ""
        more = len(due) - _MAX_SHOWN
        rest = [f"• {render_message(owners.AND_MORE, language, count=more)}"] if more > 0 else []
        return "\n".join([render_message(owners.VERIFIED_DUE, language, count=len(due)), *due[:_MAX_SHOWN], *rest])

    def _is_recent(self, moment: float) -> bool:
        return moment > self.now() - _WEEK_S


def _describe_source(source: SourceStatus, language: Language) -> str:
    name = render.escape_mrkdwn(source.name)
    if source.error:
        reason = format_failure_reason(source.error_code, source.error, language)
        return render_message(owners.FAILING_SOURCE, language, source=name, reason=reason)
    return render_message(owners.STALE_SOURCE, language, source=name, age=format_age(source.age_s or 0.0, language))
