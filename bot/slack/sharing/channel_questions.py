"""Posts private questions into channels, each once, and submits them there."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Awaitable, Callable

import structlog

from bot.messages.forms import sharing
from bot.messages.message import Message, render_message
from bot.slack.actions.change_answer import ChangeAnswer
from bot.slack.errors import SlackError, SlackUnavailable
from bot.slack.private_questions import post_question
from bot.slack.shared_parts import SharedParts
from bot.slack.turns.generated_answers import GeneratedAnswer
from bot.storage.turns.answer_shares import AnswerShare
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnState
from knowledge.errors import DatabaseError
from knowledge.language import choose_language

_log = structlog.get_logger("kvasir.sharing")

SubmitAnswered = Callable[[QuestionMessage, GeneratedAnswer | None], Awaitable[bool]]
"""Queues a question, with its answer if there is one. Raises ``DatabaseError``."""


class ChannelQuestions:
    """The questions that people have moved from their direct messages into channels."""

    def __init__(self, shared: SharedParts, submit: SubmitAnswered, withdraw: ChangeAnswer) -> None:
        """``withdraw`` handles the deletion of a question."""
        self._api = shared.api
        self._threads = shared.threads
        self._withdraw = withdraw
        self._shares = shared.shares
        self._ledger = shared.dependencies.ledger
        self._submit = submit

    async def move_question(
        self, share: AnswerShare, message: QuestionMessage, head: Message, answer: GeneratedAnswer | None
    ) -> Message | None:
        """Post a private question into its channel and submit it there; return what prevents it.

        With an ``answer``, that one is shown if its viewers may still read it; otherwise a new one is generated.

        Raises:
            DatabaseError: the share or the question cannot be stored.
            SlackError: Slack refuses the message.

        """
        if not await self._shares.claim_share(share.key):
            return sharing.ALREADY_SHARED.fill(place=f"<#{share.target}>")
        language = choose_language(html.unescape(message.text))
        first_line = render_message(head, language, person=f"<@{message.user}>")
        try:
            place = await post_question(self._api, share.target, message.user, message.text, first_line)
        except SlackError as error:
            if not (isinstance(error, SlackUnavailable) and error.maybe_done):
                await self._shares.release_share(share.key)
            raise
        key = QuestionKey(share.key.team, place.channel, place.ts)
        try:
            await self._shares.note_shared(share.key, place.ts)
            await self._submit(QuestionMessage(key, place.ts, message.user, message.text), answer)
        except DatabaseError:
            await self._delete_message(key)
            await self._shares.release_share(share.key)
            raise
        turn = await self._ledger.find(key)
        if turn is None or turn.state is not TurnState.FAILED or turn.replies:
            return None
        await self.delete_question(key)
        return sharing.LIMITED

    async def release_deleted(self, share: AnswerShare) -> bool:
        """Let an answer be shared again whose question somebody deleted in the channel; return False if it is there.

        Only administrators of the workspace can do that. Slack's library passes no event on that is about our message.

        Raises:
            DatabaseError: the share is out of reach.
            SlackError: Slack does not return the message.

        """
        ts = share.shared_ts
        if not ts or await self._threads.fetch_message(share.target, ts, ts) is not None:
            return False
        await self._withdraw(QuestionKey(share.key.team, share.target, ts))
        await self._shares.release_share(share.key)
        return True

    async def delete_question(self, key: QuestionKey) -> None:
        """Delete a question from its channel, if it is one of these, because its answer was deleted.

        Raises:
            DatabaseError: the share is out of reach.

        """
        share = await self._shares.find_shared(key)
        if share is None:
            return
        await self._delete_message(key)
        await self._shares.release_share(share.key)
        _log.info("shared question deleted", channel=key.channel, ts=key.ts)

    async def _delete_message(self, key: QuestionKey) -> None:
        with contextlib.suppress(SlackError):
            await self._api.call("chat.delete", channel=key.channel, ts=key.ts)
