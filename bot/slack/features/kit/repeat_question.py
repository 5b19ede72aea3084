"""Buttons that ask the question of an answer again, such as with the live web."""

from __future__ import annotations

from bot.answering.retrieval.web_routing import strip_links
from bot.messages.forms import buttons
from bot.messages.message import Message
from bot.slack.features.kit.private_questions import Submit
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from bot.storage.turns.questions import QuestionKey, QuestionMessage


class RepeatQuestionAction:
    """Asks questions again. It reads the question from the thread, so a button never expires."""

    prefix: str
    """What the question is asked again with."""
    already_asked: Message
    """What a person reads who presses twice."""

    def __init__(self, shared: SharedParts, submit: Submit) -> None:
        self._shared = shared
        self._submit = submit

    async def run(self, press: ButtonPress) -> None:
        """Answer the question of a button again.

        Raises:
            InteractionRefused: there must be no answer, the question is gone, or it is answered already.
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack does not return the thread.

        """
        await self.repeat_question(press, press.value)

    async def repeat_question(self, press: ButtonPress, ts: str, *, approved_words: str = "") -> None:
        """Answer the question with this ``ts`` again; ``approved_words`` may be searched only by its asker.

        Raises:
            InteractionRefused: there must be no answer, the question is gone, or it is answered already.
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack does not return the thread.

        """
        await self._shared.check_press(press)
        message = await self._shared.threads.fetch_message(press.channel, press.thread_ts, ts)
        if message is None or message.is_ours:  # a search engine must not get deleted text
            raise InteractionRefused(buttons.QUESTION_GONE)
        if approved_words and message.user != press.user:
            raise InteractionRefused(buttons.ONLY_ASKER_SENDS)
        # The links of another person's question are not the words of the person who presses.
        text = message.text if message.user == press.user else strip_links(message.text)
        # The answer's own message identifies the new turn, so pressing the button twice asks once.
        key = QuestionKey(self._shared.me.team, press.channel, press.message_ts)
        question = QuestionMessage(
            key, press.thread_ts, press.user, f"{self.prefix}{text}", is_direct=press.is_direct_message
        )
        self._shared.approved_words.keep_words(key, approved_words)
        if not await self._submit(question):
            raise InteractionRefused(self.already_asked)
