"""Posts private questions into channels, each once, and submits them there."""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bot.audit.entries import Event
from bot.languages.registry import choose_language
from bot.messages.forms import sharing
from bot.messages.message import Message, render_message
from bot.slack.features.kit.private_questions import ChangeAnswer, post_question
from bot.slack.turns.generated_answers import GeneratedAnswer
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError, SlackUnavailable
from bot.slack.wire.interactions import InteractionRefused
from bot.storage.turns.answer_shares import CLAIM_S, AnswerShare
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnState
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.sharing")

_POST_S: Final = CLAIM_S / 2
"""The time for the calls that post a question: while this process waits for them, no other one may post it."""

SubmitAnswered = Callable[[QuestionMessage, GeneratedAnswer | None], Awaitable[bool]]
"""Queues a question, with its answer if there is one. Raises ``DatabaseError``."""


class ChannelQuestions:
    """The questions that people have moved from their direct messages into channels."""

    def __init__(self, shared: SharedParts, submit: SubmitAnswered, withdraw: ChangeAnswer) -> None:
        """``withdraw`` handles the deletion of a question."""
        self._shared = shared
        self._shares = shared.shares
        self._submit = submit
        self._withdraw = withdraw

    async def move_question(
        self, share: AnswerShare, message: QuestionMessage, head: Message, answer: GeneratedAnswer | None
    ) -> None:
        """Post a private question into its channel and submit it there.

        With an ``answer``, that one is shown if its viewers may still read it; otherwise a new one is generated.

        Raises:
            InteractionRefused: the question is in the channel already, or gets no answer there.
            DatabaseError: the share or the question cannot be stored.
            SlackError: Slack refuses the message.
            TimeoutError: Slack limits it for long.

        """
        if not await self._shares.claim_share(share.key):
            raise InteractionRefused(sharing.ALREADY_SHARED.fill(place=f"<#{share.target}>"))
        language = choose_language(html.unescape(message.text))
        first_line = render_message(head, language, person=f"<@{message.user}>")
        try:
            async with asyncio.timeout(_POST_S):
                ts = await self._find_lost_question(share, message)
                if not ts:
                    api, text = self._shared.api, message.text
                    ts = (await post_question(api, share.target, message.user, text, first_line)).ts
        except SlackError as error:
            if not (isinstance(error, SlackUnavailable) and error.maybe_done):
                await self._shares.release_share(share.key)
            raise
        key = QuestionKey(share.key.team, share.target, ts)
        try:
            await self._submit(QuestionMessage(key, ts, message.user, message.text), answer)
        except DatabaseError:
            await self._delete_message(key)
            await self._shares.release_share(share.key)
            raise
        await self._shares.note_shared(share.key, ts)
        sealed = {"message": f"{share.key.channel}-{share.key.ts}", "ts": ts}
        await self._shared.record_event(Event.SHARE, message.user, {"channel": share.target}, sealed)
        turn = await self._shared.dependencies.ledger.find_turn(key)
        if turn is not None and turn.state is TurnState.FAILED and not turn.replies:
            await self.delete_question(key)
            raise InteractionRefused(sharing.LIMITED)

    async def _find_lost_question(self, share: AnswerShare, message: QuestionMessage) -> str:
        """Return the ``ts`` of the question if a process has posted it and could not store that, "" if none has."""
        if not share.claimed_at or share.shared_ts:
            return ""
        between = (share.claimed_at - CLAIM_S, share.claimed_at + 2 * CLAIM_S)  # the clocks may differ
        return await self._shared.threads.find_question(share.target, message.user, message.text, between)

    async def is_shared(self, share: AnswerShare) -> bool:
        """Return whether the channel has the question of an answer; if somebody deleted it there, release the share.

        Only administrators of the workspace can do that.

        Raises:
            DatabaseError: the share is out of reach.
            SlackError: Slack does not return the message.

        """
        ts = share.shared_ts
        if not ts or await self._shared.threads.fetch_message(share.target, ts, ts) is not None:
            return bool(ts)
        await self._withdraw(QuestionKey(share.key.team, share.target, ts))
        await self._shares.release_share(share.key, ts)
        return False

    async def delete_question(self, key: QuestionKey) -> None:
        """Delete a question from its channel, if it is one of these, because its answer was deleted.

        Raises:
            DatabaseError: the share is out of reach.

        """
        share = await self._shares.find_shared(key)
        if share is None:
            return
        await self._delete_message(key)
        await self._shares.release_share(share.key, key.ts)
        _log.info("shared question deleted", channel=key.channel, ts=key.ts)

    async def delete_everywhere(self, key: QuestionKey) -> bool:
        """Delete the answer to a question, and the question from the channel in which it was shared.

        Raises:
            DatabaseError: the ledger or the share is out of reach.

        """
        is_deleted = await self._withdraw(key)
        await self.delete_question(key)
        return is_deleted

    async def _delete_message(self, key: QuestionKey) -> None:
        with contextlib.suppress(SlackError):
            await self._shared.api.call("chat.delete", channel=key.channel, ts=key.ts)
