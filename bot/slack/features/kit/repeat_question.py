"""Buttons that ask the question of an answer again in another way, such as with the live web."""

from __future__ import annotations

from bot.answering.retrieval.web_routing import strip_links
from bot.messages.errors import explain_error
from bot.messages.forms import buttons
from bot.messages.message import Message
from bot.slack.features.kit.private_questions import Submit
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import ButtonPress
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from knowledge.errors import DatabaseError


class RepeatQuestionAction:
    """Asks questions again. It reads the question from the thread, so a button never expires."""

    prefix: str
    """What the question is asked again with."""
    already_asked: Message
    """What a person reads who presses twice."""

    def __init__(self, shared: SharedParts, submit: Submit) -> None:
        self._threads = shared.threads
        self._submit = submit
        self._team = shared.me.team
        self._channel_access = shared.channel_access
        self._messenger = shared.messenger

    async def run(self, press: ButtonPress) -> None:
        """Answer the question of a button again; if that is impossible, tell the person why."""
        try:
            if await self._channel_access.check_press(press) is None:
                return
            problem = await self._ask_again(press)
        except (DatabaseError, SlackError) as error:
            await self._messenger.reply_to_press(press, explain_error(error))
            return
        if problem is not None:
            await self._messenger.reply_to_press(press, problem)

    async def _ask_again(self, press: ButtonPress) -> Message | None:
        """Submit the question again; return what prevents it, None if nothing does.

        Raises:
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack does not return the thread.

        """
        text = await self._read_question(press)
        if text is None:
            return buttons.QUESTION_GONE
        return None if await self._submit(self._build_message(press, f"{self.prefix}{text}")) else self.already_asked

    def _build_message(self, press: ButtonPress, text: str) -> QuestionMessage:
        # The answer's own message identifies the new turn, so pressing the button twice asks once.
        key = QuestionKey(self._team, press.channel, press.message_ts)
        return QuestionMessage(key, press.thread_ts, press.user, text, is_direct=press.is_direct_message)

    async def _read_question(self, press: ButtonPress) -> str | None:
        """Return the question's current text, None if it was deleted: a search engine must not get deleted text."""
        message = await self._threads.fetch_message(press.channel, press.thread_ts, press.value)
        if message is None or message.is_ours:
            return None
        # The links of another person's question are not the words of the person who presses.
        return message.text if message.user == press.user else strip_links(message.text)
