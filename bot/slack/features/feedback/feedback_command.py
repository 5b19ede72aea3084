"""``/kb feedback``: owners see how people rate the answers from their sources, everybody else their own votes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from bot.answering.outgoing import release_text
from bot.languages.registry import Language
from bot.messages.forms import feedback
from bot.messages.message import join_names, render_message
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import SlashCommand
from bot.slack.wire.text import render
from bot.storage.feedback import StoredVote, Vote

_MAX_SHOWN = 8
_MAX_READ = 200
"""How many bad votes are read to find those that an owner may see."""
_MAX_COMMENT_CHARACTERS = 300


class FeedbackRunner:
    """Lists votes. A question and a comment are shown only to people of the conversation with the answer."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def run(self, typed: SlashCommand, _rest: str) -> str:
        """Return what the command shows to the person who typed it, as mrkdwn.

        Raises:
            DatabaseError: the votes cannot be read.

        """
        if self._shared.access.is_owner(typed.user):
            return await self._describe_sources(typed.user, None, typed.language)
        owned = {name for name, owners in self._shared.access.source_owners.items() if typed.user in owners}
        if owned:
            return await self._describe_sources(typed.user, owned, typed.language)
        return await self._describe_own(typed.user, typed.language)

    async def _describe_own(self, user: str, language: Language) -> str:
        votes = await self._shared.feedback.list_of_person(self._shared.me.team, user, _MAX_SHOWN)
        # The person may read nothing of a source any more that an answer cited, so no source is named.
        lines = [await self._format_vote(one, language, ()) for one in await self._filter_visible(votes, user)]
        return "\n".join([render_message(feedback.YOUR_VOTES if lines else feedback.NO_VOTES, language), *lines])

    async def _describe_sources(self, user: str, owned: Collection[str] | None, language: Language) -> str:
        """Return the counts and the newest bad answers that cite a source of ``owned``; None for all answers."""
        counts = await self._shared.feedback.count_votes(self._shared.me.team, owned)
        lines = [render_message(feedback.COUNTS, language, good=counts[Vote.GOOD], bad=counts[Vote.BAD])]
        bad = [
            one
            for one in await self._shared.feedback.list_bad(self._shared.me.team, _MAX_READ)
            if one.cites_source(owned)
        ]
        visible = await self._filter_visible(bad, user)
        if visible:
            lines.append(render_message(feedback.NEWEST_BAD, language))
            lines += [await self._format_vote(one, language, owned) for one in visible[:_MAX_SHOWN]]
        if hidden := len(bad) - len(visible):
            lines.append(render_message(feedback.HIDDEN_ANSWERS, language, count=hidden))
        return "\n".join(lines)

    async def _filter_visible(self, votes: Sequence[StoredVote], user: str) -> list[StoredVote]:
        return await self._shared.questions.filter_visible(votes, user, lambda vote: vote.answer)

    async def _format_vote(self, vote: StoredVote, language: Language, owned: Collection[str] | None) -> str:
        mark = "👍" if vote.vote is Vote.GOOD else "👎"
        reasons = [render_message(feedback.REASON_NAMES[reason], language) for reason in vote.reasons]
        day = datetime.fromtimestamp(vote.voted_at, UTC)
        details = [f"{day:%Y-%m-%d}", join_names(reasons, language)]
        if sources := vote.list_sources(owned):
            names = join_names(map(render.escape_mrkdwn, sources), language)
            details.append(render_message(feedback.CITED_SOURCES, language, sources=names))
        details.append("" if vote.is_current else render_message(feedback.ANSWERED_SINCE, language))
        lines = [
            " · ".join(filter(None, [f"{mark} {await self._shared.questions.format_link(vote.answer)}", *details]))
        ]
        if comment := " ".join(release_text(vote.comment).split())[:_MAX_COMMENT_CHARACTERS]:
            lines.append(f"> {render.escape_mrkdwn(comment)}")
        return "\n".join(lines)
