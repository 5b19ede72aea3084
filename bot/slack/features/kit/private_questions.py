"""Asks a person's question in the direct messages, where a turn of its own answers it."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bot.answering.outgoing import release_text
from bot.slack.conversations.thread_loader import build_question_metadata
from bot.slack.people.accounts import Channel
from bot.slack.posting.ephemeral import MAX_TEXT_CHARACTERS
from bot.slack.wire.text import render
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.answer_shares import AnswerShares
from bot.storage.turns.questions import QuestionKey, QuestionMessage, Subject

Submit = Callable[[QuestionMessage], Awaitable[bool]]
"""Queues a question; returns False if it was submitted before. Raises ``DatabaseError``."""
ChangeAnswer = Callable[[QuestionKey], Awaitable[bool]]
"""Changes the answer to a question; returns False if it has changed meanwhile. Raises ``DatabaseError``."""


class PostedQuestion(NamedTuple):
    """Where a question is asked."""

    channel: str
    ts: str


async def post_question(
    api: SlackWebApi, channel: str, user: str, text: str, head: str, subject: Subject | None = None
) -> PostedQuestion:
    """Post our message that stands for a person's question, whose ``text`` is as Slack sends texts.

    Raises:
        SlackError: Slack refuses the message.

    """
    quote = "\n".join(f"> {line}" for line in render.escape_mrkdwn(release_text(html.unescape(text))).splitlines())
    posted = await api.call(
        "chat.postMessage",
        channel=channel,
        text=f"{head}\n{quote}"[:MAX_TEXT_CHARACTERS],
        metadata=build_question_metadata(user, text, subject),
    )
    return PostedQuestion(str(posted["channel"]), str(posted["ts"]))


class PrivateQuestions:
    """Posts questions into direct messages and submits them."""

    def __init__(self, api: SlackWebApi, submit: Submit, team: str, shares: AnswerShares) -> None:
        self._api = api
        self._submit = submit
        self._team = team
        self._shares = shares

    async def ask_question(
        self,
        user: str,
        text: str,
        head: str,
        subject: Subject | None = None,
        *,
        asked_in: Channel | None = None,
    ) -> PostedQuestion:
        """Ask a person's question; ``head`` is the mrkdwn above it, ``subject`` the message that it is about.

        The person may share the answer in the channel ``asked_in``.

        Raises:
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack refuses the message.

        """
        as_sent = html.escape(text, quote=False)
        place = await post_question(self._api, user, user, as_sent, head, subject)  # Slack opens the direct message
        key = QuestionKey(self._team, place.channel, place.ts)
        if asked_in is not None:
            await self._shares.offer_share(key, asked_in.id, asked_in.name)
        await self._submit(QuestionMessage(key, place.ts, user, as_sent, is_direct=True, subject=subject))
        return place
