"""Removes the partial answer of an interrupted turn from its thread."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.conversations.thread_loader import ThreadLoader, ThreadMessage
from bot.slack.posting.reply import AnswerReply
from bot.slack.wire.errors import SlackGone, SlackRefused, SlackStopped
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import LedgerTurn, QuestionKey


class AnswerRecovery:
    """Finds partial answers by the ledger, or in the thread if a crash came before the ledger stored them."""

    def __init__(self, ledger: Ledger, threads: ThreadLoader, api: SlackWebApi) -> None:
        self._ledger = ledger
        self._threads = threads
        self._api = api

    async def clean_up(self, turn: LedgerTurn, reply: AnswerReply) -> bool:
        """Remove a partial answer; return True if the answer in the thread is complete.

        The stream of a partial answer is stopped, its first message becomes an apology, and the others are deleted.

        Raises:
            SlackError: Slack cannot return or change the thread now.
            DatabaseError: the ledger cannot be read.

        """
        try:
            messages = await self._threads.fetch_messages(turn.message)
        except SlackGone:
            return False
        key = turn.message.key
        recorded = await self._ledger.list_replies(*turn.message.thread)
        parts = [message for message in messages if _belongs_to_answer(message, key, turn.replies, recorded)]
        ends = [one.ts for one in messages if one.is_ours and (one.answers, one.revision) == (key.ts, turn.revision)]
        if ends:  # the crash may have come before the ledger stored them
            await self._ledger.note_replies(key, [part.ts for part in parts if float(part.ts) <= float(ends[-1])])
            return True
        replies = turn.replies if turn.revises else ()  # the next answer takes their place
        for number, part in enumerate(parts):
            if part.ts in replies:
                await self._stop_stream(key.channel, part)
            else:
                await self._remove_part(key.channel, part, reply, apologize=number == 0 and not replies)
        return False

    async def _stop_stream(self, channel: str, part: ThreadMessage) -> None:
        with contextlib.suppress(SlackRefused, SlackStopped):
            await self._api.call("chat.stopStream", channel=channel, ts=part.ts)

    async def _remove_part(self, channel: str, part: ThreadMessage, reply: AnswerReply, *, apologize: bool) -> None:
        await self._stop_stream(channel, part)
        if apologize and await self._replace_by_apology(channel, part, reply):
            return
        with contextlib.suppress(SlackRefused, SlackGone):
            await self._api.call("chat.delete", channel=channel, ts=part.ts)

    async def _replace_by_apology(self, channel: str, part: ThreadMessage, reply: AnswerReply) -> bool:
        """Replace a partial answer by an apology; return False if Slack refuses it with a block and as plain text."""
        sentence = render_message(replies.INTERRUPTED, reply.language)
        for blocks in ([{"type": "markdown", "text": sentence}], []):
            with contextlib.suppress(SlackRefused, SlackGone):
                await self._api.call("chat.update", channel=channel, ts=part.ts, text=sentence, blocks=blocks)
                reply.replies.append(part.ts)
                return True
        return False


def _belongs_to_answer(
    message: ThreadMessage, key: QuestionKey, replies: Sequence[str], recorded: frozenset[str]
) -> bool:
    """Return whether a message is part of a question's answer: the ledger says so, or it is ours and unrecorded."""
    is_later = message.is_ours and float(message.ts) > float(key.ts)
    return is_later and (message.ts in replies or message.ts not in recorded)
