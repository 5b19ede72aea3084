"""The button "Search the web": answers the same question again, with the live web."""

from __future__ import annotations

from typing import Any

from bot.answering.retrieval.web_routing import strip_links
from bot.messages.errors import explain_error
from bot.messages.forms import buttons
from bot.messages.message import Message, render_message
from bot.slack.conversations.thread_reader import ThreadReader
from bot.slack.features.kit.channel_access import ChannelAccess
from bot.slack.features.kit.private_questions import Submit
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import ButtonPress
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from knowledge.errors import DatabaseError


class SearchWebAction:
    """Asks questions again. It reads the question from the thread, so a button never expires."""

    action_id = "kvasir:look"
    prefix = "web: "
    """What the question is asked again with."""
    already_asked = buttons.WEB_ALREADY_SEARCHED

    def __init__(
        self,
        threads: ThreadReader,
        submit: Submit,
        team: str,
        channel_access: ChannelAccess,
        messenger: EphemeralMessenger,
    ) -> None:
        self._threads = threads
        self._submit = submit
        self._team = team
        self._channel_access = channel_access
        self._messenger = messenger

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return a button under an answer without the web; its value is the question's ``ts``."""
        if answer.finished.route in {"files", "sources"} or not answer.finished.web.may_look:
            return []
        return [build_button(self.action_id, render_message(buttons.SEARCH_WEB, answer.language), answer.question_ts)]

    async def run(self, press: ButtonPress) -> None:
        """Answer the question of a button with the web; if that is impossible, tell the person why."""
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
        """Submit the question with the web; return what prevents it, None if nothing does.

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
