"""The button under an answer that has the same question answered anew, with the live web."""

from __future__ import annotations

from bot.slack.posting.buttons import ButtonPress
from bot.slack.turns.thread_reader import ThreadReader
from bot.slack.turns.turns import TurnManager
from bot.storage.questions import QuestionKey, QuestionMessage


class SearchWebAction:
    """Asks questions again. What was asked stands in the thread, so the button never grows old."""

    def __init__(self, threads: ThreadReader, turns: TurnManager, team: str) -> None:
        self._threads = threads
        self._turns = turns
        self._team = team

    async def again(self, press: ButtonPress) -> bool | None:
        """Ask once more, with the web; False where that was done before, None where the question is gone.

        Raises:
            LedgerError: it could not be written down.
            SlackError: the thread cannot be read.

        """
        # The answer's own message names the new turn: however often the button is pressed, it is one question.
        key = QuestionKey(self._team, press.channel, press.message_ts)
        message = QuestionMessage(key, press.thread_ts, press.user, "", is_direct=press.channel.startswith("D"))
        text = await self._text(message, press.value)
        if text is None:
            return None
        return await self._turns.ask(
            QuestionMessage(key, message.thread_ts, message.user, f"web: {text}", is_direct=message.is_direct)
        )

    async def _text(self, message: QuestionMessage, question_ts: str) -> str | None:
        """Return what was asked as it reads now: what was taken back since does not go to a search engine."""
        line = await self._threads.line(message, question_ts)
        return None if line is None or line.ours else line.text
