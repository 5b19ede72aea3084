"""Answers the apps that the operator allows, and refuses the others."""

from __future__ import annotations

import asyncio
import time

import structlog

from bot.languages.registry import choose_language
from bot.messages import replies
from bot.messages.message import Message, render_message
from bot.slack.features.kit.private_questions import Submit
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.events import AppAsked
from bot.storage.turns.question_counts import AppTurns
from bot.storage.turns.questions import QuestionMessage
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

_REFUSAL_INTERVAL_S = 3_600.0
_MAX_REFUSED = 1_000
MAX_IN_THREAD = 5
"""How many answers all apps together get in a thread within an hour."""
MAX_IN_CHANNEL = 30
"""The same for a channel: a workflow that Kvasir's answers start begins another thread each time, with another bot."""
_READING_TIMEOUT_S = 2.0
"""Slack waits three seconds for the acknowledgement of a message."""
_LATER_TIMEOUT_S = 60.0


class AppQuestions:
    """Decides which mentions by other apps are questions: two apps that answer each other never stop."""

    def __init__(self, shared: SharedParts, submit: Submit) -> None:
        self._shared = shared
        self._turns = AppTurns(shared.database)
        self._submit = submit
        self._refused_at: dict[tuple[str, str], float] = {}

    async def handle_mention(self, app_question: AppAsked) -> None:
        """Answer a mention by an allowed app. Refuse another app once an hour in a channel, and ignore every Kvasir.

        Raises:
            DatabaseError: the question cannot be stored, so Slack has to send it again.

        """
        log = _log.bind(channel=app_question.key.channel, ts=app_question.key.ts, app=sorted(app_question.ids))
        if app_question.is_kvasir:
            log.info("another Kvasir ignored")
            return
        if (refusal := await self._find_refusal(app_question)) is not None:
            log.info("app refused")
            self._shared.tasks.start(self._refuse_question(app_question, refusal), "refusal of an app")
            return
        question = QuestionMessage(app_question.key, app_question.thread_ts, app_question.app, app_question.text)
        in_channel, in_thread = await self._turns.count_last_hour(question)
        if in_thread >= MAX_IN_THREAD or in_channel >= MAX_IN_CHANNEL:
            log.warning("app ignored", reason="too many answers", in_thread=in_thread, in_channel=in_channel)
            return
        try:
            await self._submit_unless_of_kvasir(question, _READING_TIMEOUT_S)
        except (SlackError, TimeoutError) as error:
            log.warning("thread of an app not read yet", error=str(error))
            self._shared.tasks.start(self._submit_later(question), "question of an app")

    async def _find_refusal(self, app_question: AppAsked) -> Message | None:
        """Return why an app gets no answer, None if it may get one."""
        if not app_question.ids & self._shared.dependencies.configuration.apps:
            return replies.APPS_REFUSED.fill(app=_choose_id(app_question))
        is_open = not app_question.is_channel_shared or await self._shared.viewers.is_approved(app_question.key.channel)
        return None if is_open else replies.SHARED_CHANNEL

    async def _submit_unless_of_kvasir(self, question: QuestionMessage, timeout_s: float) -> None:
        """Submit a question if no other Kvasir has written in its thread.

        Raises:
            DatabaseError: the question cannot be stored.
            SlackError, TimeoutError: the thread cannot be read.

        """
        async with asyncio.timeout(timeout_s):
            messages = await self._shared.threads.fetch_messages(question)
        if any(message.is_of_other_kvasir for message in messages):
            _log.info("another Kvasir ignored", channel=question.key.channel, ts=question.key.ts)
        else:
            await self._submit(question)

    async def _submit_later(self, question: QuestionMessage) -> None:
        """Do the same after Slack has its acknowledgement; an app of which Slack says nothing gets no answer."""
        try:
            await self._submit_unless_of_kvasir(question, _LATER_TIMEOUT_S)
        except (DatabaseError, SlackError, TimeoutError) as error:
            _log.warning("app not answered", channel=question.key.channel, ts=question.key.ts, error=str(error))

    async def _refuse_question(self, app_question: AppAsked, refusal: Message) -> None:
        """Say in the app's thread why there is no answer; a failure is logged."""
        now, key = time.monotonic(), (app_question.key.channel, app_question.app)
        if now - self._refused_at.get(key, float("-inf")) < _REFUSAL_INTERVAL_S:
            return
        if len(self._refused_at) >= _MAX_REFUSED:
            self._refused_at.clear()
        self._refused_at[key] = now
        text = render_message(refusal, choose_language(app_question.text))
        try:
            await self._shared.api.call(
                "chat.postMessage", channel=app_question.key.channel, thread_ts=app_question.thread_ts, text=text
            )
        except SlackError as error:
            _log.warning("app not refused", channel=app_question.key.channel, error=str(error))


def _choose_id(app_question: AppAsked) -> str:
    """Return the id by which an operator would allow an app: that of its workflow, of the app, or of its bot."""
    return max(app_question.ids, key=lambda one: (one.startswith("Wf"), one.startswith("A")))
