"""The button "Answer in a direct message": the asker gets an answer from everything that the asker may see."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from bot.answering.retrieval.follow_ups import depends_on_history
from bot.messages.errors import explain_error
from bot.messages.forms import buttons
from bot.messages.message import Message, render_message
from bot.slack.errors import SlackError
from bot.slack.incoming.interactions import ButtonPress
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.private_questions import PrivateQuestions
from bot.slack.threads.thread_reader import ThreadReader
from bot.storage.turns.questions import QuestionKey, QuestionMessage, Subject
from knowledge.errors import DatabaseError

ANSWER_PRIVATELY = "kvasir:answer-privately"
"""The action id; the button's value is the place of the question."""

_MAX_REMEMBERED = 1_000


class AnswerPrivatelyAction:
    """Repeats a question in the asker's direct messages, where a turn of its own answers it."""

    def __init__(
        self, threads: ThreadReader, private: PrivateQuestions, team: str, messenger: EphemeralMessenger
    ) -> None:
        self._threads = threads
        self._private = private
        self._team = team
        self._messenger = messenger
        self._pressed: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Questions that are repeated already, so that a second press asks nothing."""

    async def run(self, press: ButtonPress) -> None:
        """Answer the question of a button in a direct message; if that is impossible, tell the person why."""
        thread_ts, _, ts = press.value.partition(" ")
        # Slack does not send the ephemeral message with the press, so the thread is that of the button's value.
        in_thread = replace(press, thread_ts=thread_ts)
        if (press.channel, ts) in self._pressed:
            await self._messenger.reply_to_press(in_thread, buttons.ANSWERED_PRIVATELY)
            return
        self._pressed[press.channel, ts] = None
        if len(self._pressed) > _MAX_REMEMBERED:
            self._pressed.popitem(last=False)
        is_repeated = False
        try:
            problem = await self._repeat_question(press, thread_ts, ts)
            is_repeated = problem is None
        except (DatabaseError, SlackError) as error:
            problem = explain_error(error)
        finally:
            if not is_repeated:  # also after an error that the listener explains, so that the next press counts
                self._pressed.pop((press.channel, ts), None)
        if problem is not None:  # a thread whose only question was deleted shows nothing
            shown_ts = press.message_ts if problem is buttons.QUESTION_GONE else thread_ts
            await self._messenger.reply_to_press(replace(press, thread_ts=shown_ts), problem)
        elif not await self._messenger.replace_message(press, buttons.ANSWERED_PRIVATELY):
            await self._messenger.reply_to_press(in_thread, buttons.ANSWERED_PRIVATELY)

    async def _repeat_question(self, press: ButtonPress, thread_ts: str, ts: str) -> Message | None:
        """Post the question into the direct messages and submit it; return what prevents it, None if nothing does.

        Raises:
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack does not return the thread, or refuses the message.

        """
        original = await self._threads.fetch_message(press.channel, thread_ts, ts)
        if original is None or original.is_ours:
            return buttons.QUESTION_GONE
        if original.user != press.user or original.app:
            return buttons.NOT_YOUR_QUESTION
        question = QuestionMessage(QuestionKey(self._team, press.channel, ts), thread_ts, press.user, original.text)
        text = await self._read_whole_question(question)
        head = render_message(buttons.ASKED_ELSEWHERE, press.language, channel=f"<#{press.channel}>")
        subject = Subject(press.channel, thread_ts, ts) if original.files else None  # so that its files are read, too
        await self._private.ask_question(press.user, text, head, subject)
        return None

    async def _read_whole_question(self, question: QuestionMessage) -> str:
        """Return the question, behind the asker's previous one if it cannot be understood alone."""
        text = await self._threads.read_question(question)
        if not depends_on_history(text):
            return text
        earlier = [one.question for one in await self._threads.read_history(question) if one.question]
        return "\n".join([*earlier[-1:], text])


def format_question_place(message: QuestionMessage) -> str:
    """Return the value of the button under the answer to a question."""
    return f"{message.thread_ts} {message.key.ts}"
