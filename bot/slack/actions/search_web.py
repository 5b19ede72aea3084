"""The button under an answer that has the same question answered anew, with the live web."""

from __future__ import annotations

from bot.slack.posting.buttons import Pressed
from bot.slack.turns.thread import Threads
from bot.slack.turns.turns import Turns
from bot.storage.questions import Asked, Key


class Looking:
    """Asks questions again. What was asked stands in the thread, so the button never grows old."""

    def __init__(self, threads: Threads, turns: Turns, team: str) -> None:
        self._threads = threads
        self._turns = turns
        self._team = team

    async def again(self, pressed: Pressed) -> bool | None:
        """Ask once more, with the web; False where that was done before, None where the question is gone.

        Raises:
            LedgerError: it could not be written down.
            SlackError: the thread cannot be read.

        """
        # The answer's own message names the new turn: however often the button is pressed, it is one question.
        key = Key(self._team, pressed.channel, pressed.message_ts)
        asked = Asked(key, pressed.thread_ts, pressed.user, "", direct=pressed.channel.startswith("D"))
        text = await self._text(asked, pressed.value)
        if text is None:
            return None
        return await self._turns.ask(Asked(key, asked.thread_ts, asked.user, f"web: {text}", direct=asked.direct))

    async def _text(self, asked: Asked, question_ts: str) -> str | None:
        """Return what was asked as it reads now: what was taken back since does not go to a search engine."""
        line = await self._threads.line(asked, question_ts)
        return None if line is None or line.ours else line.text
