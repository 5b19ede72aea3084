"""``/kb feedback``: owners see how people rate the answers from their sources, everybody else their own votes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from bot.config.configuration import Access
from bot.messages import feedback
from bot.messages.message import join_names, render_message
from bot.slack.audience.directory import SlackDirectory
from bot.slack.errors import SlackError
from bot.slack.interactions import SlashCommand
from bot.slack.posting import render
from bot.slack.transport.web_api import SlackWebApi
from bot.storage.answers import StoredAnswer
from bot.storage.feedback import Feedback, StoredVote, Vote
from knowledge.language import Language

_MAX_SHOWN = 8
_MAX_READ = 200
"""How many bad votes are read to find those that an owner may see."""
_MAX_QUESTION_CHARACTERS = 120
_MAX_COMMENT_CHARACTERS = 300


class FeedbackRunner:
    """Lists votes. A question and a comment are shown only to people of the conversation with the answer."""

    def __init__(self, votes: Feedback, directory: SlackDirectory, api: SlackWebApi, access: Access, team: str) -> None:
        self._votes = votes
        self._directory = directory
        self._api = api
        self._access = access
        self._team = team

    async def run(self, typed: SlashCommand) -> str:
        """Return what the command shows to the person who typed it, as mrkdwn.

        Raises:
            DatabaseError: the votes cannot be read.

        """
        if self._access.is_owner(typed.user):
            return await self._describe_sources(typed.user, None, typed.language)
        owned = {name for name, owners in self._access.source_owners.items() if typed.user in owners}
        if owned:
            return await self._describe_sources(typed.user, owned, typed.language)
        return await self._describe_own(typed.user, typed.language)

    async def _describe_own(self, user: str, language: Language) -> str:
        votes = await self._votes.list_of_person(self._team, user, _MAX_SHOWN)
        lines = [await self._format_vote(one, language) for one in await self._filter_visible(votes, user)]
        return "\n".join([render_message(feedback.YOUR_VOTES if lines else feedback.NO_VOTES, language), *lines])

    async def _describe_sources(self, user: str, owned: Collection[str] | None, language: Language) -> str:
        """Return the counts and the newest bad answers that cite a source of ``owned``; None for all answers."""
        counts = await self._votes.count(self._team, owned)
        lines = [render_message(feedback.COUNTS, language, good=counts[Vote.GOOD], bad=counts[Vote.BAD])]
        bad = [one for one in await self._votes.list_bad(self._team, _MAX_READ) if one.cites(owned)]
        visible = await self._filter_visible(bad, user)
        if visible:
            lines.append(render_message(feedback.NEWEST_BAD, language))
            lines += [await self._format_vote(one, language, owned) for one in visible[:_MAX_SHOWN]]
        if hidden := len(bad) - len(visible):
            lines.append(render_message(feedback.HIDDEN_ANSWERS, language, count=hidden))
        return "\n".join(lines)

    async def _filter_visible(self, votes: Sequence[StoredVote], user: str) -> list[StoredVote]:
        """Return the votes on answers in conversations that a person is in; what Slack does not say counts as no."""
        return [one for one in votes if await self._is_in_conversation(one.answer, user)]

    async def _is_in_conversation(self, answer: StoredAnswer, user: str) -> bool:
        if answer.key.channel.startswith("D"):
            return answer.user == user
        return user in (await self._directory.list_members(answer.key.channel) or ())

    async def _format_vote(self, vote: StoredVote, language: Language, owned: Collection[str] | None = None) -> str:
        mark = "👍" if vote.vote is Vote.GOOD else "👎"
        reasons = [render_message(feedback.REASON_NAMES[reason], language) for reason in vote.reasons]
        day = datetime.fromtimestamp(vote.voted_at, UTC)
        details = [f"{day:%Y-%m-%d}", join_names(reasons, language)]
        if sources := vote.list_sources(owned):
            names = join_names(map(render.escape_mrkdwn, sources), language)
            details.append(render_message(feedback.CITED_SOURCES, language, sources=names))
        details.append("" if vote.is_current else render_message(feedback.ANSWERED_SINCE, language))
        lines = [" · ".join(filter(None, [f"{mark} {await self._link(vote.answer)}", *details]))]
        if comment := " ".join(vote.comment.split())[:_MAX_COMMENT_CHARACTERS]:
            lines.append(f"> {render.escape_mrkdwn(comment)}")
        return "\n".join(lines)

    async def _link(self, answer: StoredAnswer) -> str:
        """Return a question as the link to it, without the link if Slack does not give it."""
        question = " ".join(answer.question.split())
        is_long = len(question) > _MAX_QUESTION_CHARACTERS
        name = render.escape_mrkdwn(question[: _MAX_QUESTION_CHARACTERS - 1] + "…" if is_long else question)
        try:
            found = await self._api.call("chat.getPermalink", channel=answer.key.channel, message_ts=answer.key.ts)
        except SlackError:
            return name
        return f"<{render.encode_link_target(str(found['permalink']))}|{name.replace('|', '¦')}>"
