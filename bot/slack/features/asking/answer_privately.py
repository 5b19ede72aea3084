"""Offers an answer in a direct message after one in a channel, from everything that the asker may see."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from bot.answering.retrieval.follow_ups import depends_on_history
from bot.languages.registry import Language
from bot.messages.errors import explain_error
from bot.messages.forms import buttons
from bot.messages.message import Message, render_message
from bot.slack.conversations.thread_loader import ThreadLoader
from bot.slack.features.kit.private_questions import PrivateQuestions
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import EphemeralMessenger, build_section
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import ButtonPress
from bot.storage.sent_notices import SentNotices
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage, Subject
from knowledge.errors import DatabaseError, KnowledgeError

_log = structlog.get_logger("kvasir.turns")

ANSWER_PRIVATELY = "kvasir:answer-privately"
"""The action id; the button's value is the ``ts`` of the thread and that of the question."""

_KIND = "private"
"""The kind of the notices that a question was repeated; an edited question is another one."""
_DEADLINE_S = 20.0


class AnswerPrivatelyAction:
    """Repeats a question in the asker's direct messages, where a turn of its own answers it."""

    def __init__(
        self,
        threads: ThreadLoader,
        private: PrivateQuestions,
        ledger: Ledger,
        team: str,
        messenger: EphemeralMessenger,
    ) -> None:
        self._threads = threads
        self._private = private
        self._ledger = ledger
        self._notices = SentNotices(ledger.database)
        self._team = team
        self._messenger = messenger

    async def run(self, press: ButtonPress) -> None:
        """Answer the question of a button in a direct message; if that is impossible, tell the person why."""
        thread_ts, _, ts = press.value.partition(" ")
        try:
            problem = await self._repeat_question(press, thread_ts, ts)
        except (DatabaseError, SlackError) as error:
            problem = explain_error(error)
        if problem is not None:  # a thread whose only question was deleted shows nothing
            shown_ts = press.message_ts if problem is buttons.QUESTION_GONE else thread_ts
            await self._messenger.reply_to_press(replace(press, thread_ts=shown_ts), problem)
        elif not await self._messenger.replace_message(press, buttons.ANSWERED_PRIVATELY):
            # Slack does not send the ephemeral message with the press, so the thread is that of the button's value.
            await self._messenger.reply_to_press(replace(press, thread_ts=thread_ts), buttons.ANSWERED_PRIVATELY)

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
        turn = await self._ledger.find_turn(question.key)
        await self._notices.purge_notices(self._team, _KIND)
        notice = f"{press.channel} {ts} {turn.revision if turn is not None else 0}"
        if not await self._notices.add_notice(self._team, _KIND, notice):
            return None  # a second press of the button, here or in another process
        try:
            await self._private.ask_question(press.user, text, head, subject)
        except BaseException:  # so that the next press counts
            await self._notices.remove_notice(self._team, _KIND, notice)
            raise
        return None

    async def _read_whole_question(self, question: QuestionMessage) -> str:
        """Return the question, behind the asker's previous one if it cannot be understood alone."""
        text = await self._threads.read_question(question)
        if not depends_on_history(text):
            return text
        thread = await self._threads.read_thread(question)
        earlier = [one.question for one in thread.history if one.question]
        return "\n".join([*earlier[-1:], text])


class MoreForAsker:
    """Searches once more, for the asker alone. The offer names no source and no number."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    def offer_later(self, message: QuestionMessage, searched: str, language: Language) -> None:
        """Look for more in the background; ``searched`` is what was searched for the channel's answer."""
        if not message.key.channel.startswith("D"):
            self._shared.tasks.start(self._offer_more(message, searched, language), "more for the asker")

    async def _offer_more(self, message: QuestionMessage, searched: str, language: Language) -> None:
        """Show the asker a button if there is more."""
        key = message.key
        try:
            async with asyncio.timeout(_DEADLINE_S):
                if not await self._has_more(message, searched):
                    return
        except (KnowledgeError, TimeoutError) as error:
            _log.info("private answer not offered", channel=key.channel, error=type(error).__name__)
            return
        language = await self._shared.languages.find_language(message.user) or language
        text = render_message(buttons.MORE_FOR_YOU, language)
        label = render_message(buttons.ANSWER_PRIVATELY, language)
        button = build_button(ANSWER_PRIVATELY, label, f"{message.thread_ts} {key.ts}")
        blocks = [build_section(text), {"type": "actions", "elements": [button]}]
        await self._shared.messenger.reach_person(
            key.channel, message.user, text, thread_ts=message.thread_ts, blocks=blocks, only_there=True
        )

    async def _has_more(self, message: QuestionMessage, searched: str) -> bool:
        channel = message.key.channel
        asker = await self._shared.viewers.find_press_audience(channel, message.user)
        everybody = await self._shared.viewers.find_channel_audience(channel, message.user)
        if asker.refusal is not None or everybody.refusal is not None or not asker.is_complete:
            return False
        return await self._shared.dependencies.library.has_more(searched, asker.viewers, everybody.viewers)
