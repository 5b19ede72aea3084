"""What an earlier attempt at an answer left in its thread, and how it is tidied up."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from bot.slack import words
from bot.slack.errors import SlackGone, SlackRefused, SlackStopped
from bot.slack.posting.reply import Reply
from bot.slack.transport.calls import Calls
from bot.slack.turns.thread import Line, Threads
from bot.storage.ledger import Ledger
from bot.storage.questions import Key, Turn


class Leftovers:
    """Finds them by the ledger's notes, and where a process was killed before it could note, by the thread itself."""

    def __init__(self, ledger: Ledger, threads: Threads, calls: Calls) -> None:
        self._ledger = ledger
        self._threads = threads
        self._calls = calls

    async def tidy(self, turn: Turn, reply: Reply) -> bool:
        """Find what an earlier attempt left in the thread; True if that is the whole answer.

        A half answer becomes one line of apology: its stream is stopped, its first message says so, others are deleted.

        Raises:
            SlackError: the thread cannot be read or tidied now.
            LedgerError: the ledger cannot be read.

        """
        try:
            lines = await self._threads.lines(turn.asked)
        except SlackGone:
            return False
        key = turn.asked.key
        if any(line.ours and line.answers == key.ts for line in lines):
            return True
        known = await self._ledger.replies_in(*turn.asked.thread)
        left = [line for line in lines if _is_left(line, key, turn.replies, known)]
        for number, line in enumerate(left):
            await self._take_back(key.channel, line, reply, apologise=number == 0)
        return False

    async def _take_back(self, channel: str, line: Line, reply: Reply, *, apologise: bool) -> None:
        with contextlib.suppress(SlackRefused, SlackStopped):
            await self._calls.call("chat.stopStream", channel=channel, ts=line.ts)
        with contextlib.suppress(SlackRefused, SlackGone):
            if not apologise:
                await self._calls.call("chat.delete", channel=channel, ts=line.ts)
                return
            sentence = words.INTERRUPTED.to(reply)
            block = {"type": "markdown", "text": sentence}
            await self._calls.call("chat.update", channel=channel, ts=line.ts, text=sentence, blocks=[block])
            reply.replies.append(line.ts)


def _is_left(line: Line, key: Key, replies: Sequence[str], known: frozenset[str]) -> bool:
    """Tell whether a message is a part of this question's answer: noted as such, or ours and noted nowhere."""
    return line.ours and float(line.ts) > float(key.ts) and (line.ts in replies or line.ts not in known)
