"""What an earlier attempt at an answer left in its thread, and how it is tidied up."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from bot.slack import texts
from bot.slack.errors import SlackGone, SlackRefused, SlackStopped
from bot.slack.posting.reply import AnswerReply
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.turns.thread_reader import ThreadMessage, ThreadReader
from bot.storage.ledger import Ledger
from bot.storage.questions import QuestionKey, Turn


class AnswerRecovery:
    """Finds them by the ledger's notes, and where a process was killed before it could note, by the thread itself."""

    def __init__(self, ledger: Ledger, threads: ThreadReader, api: SlackWebApi) -> None:
        self._ledger = ledger
        self._threads = threads
        self._api = api

    async def tidy(self, turn: Turn, reply: AnswerReply) -> bool:
        """Find what an earlier attempt left in the thread; True if that is the whole answer.

        A half answer becomes one line of apology: its stream is stopped, its first message says so, others are deleted.

        Raises:
            SlackError: the thread cannot be read or tidied now.
            LedgerError: the ledger cannot be read.

        """
        try:
            lines = await self._threads.lines(turn.message)
        except SlackGone:
            return False
        key = turn.message.key
        if any(line.ours and line.answers == key.ts for line in lines):
            return True
        known = await self._ledger.list_replies(*turn.message.thread)
        left = [line for line in lines if _belongs_to_answer(line, key, turn.replies, known)]
        for number, line in enumerate(left):
            await self._take_back(key.channel, line, reply, apologise=number == 0)
        return False

    async def _take_back(self, channel: str, line: ThreadMessage, reply: AnswerReply, *, apologise: bool) -> None:
        with contextlib.suppress(SlackRefused, SlackStopped):
            await self._api.call("chat.stopStream", channel=channel, ts=line.ts)
        with contextlib.suppress(SlackRefused, SlackGone):
            if not apologise:
                await self._api.call("chat.delete", channel=channel, ts=line.ts)
                return
            sentence = texts.ANSWER_INTERRUPTED.to(reply)
            block = {"type": "markdown", "text": sentence}
            await self._api.call("chat.update", channel=channel, ts=line.ts, text=sentence, blocks=[block])
            reply.replies.append(line.ts)


def _belongs_to_answer(line: ThreadMessage, key: QuestionKey, replies: Sequence[str], known: frozenset[str]) -> bool:
    """Tell whether a message is a part of this question's answer: noted as such, or ours and noted nowhere."""
    return line.ours and float(line.ts) > float(key.ts) and (line.ts in replies or line.ts not in known)
