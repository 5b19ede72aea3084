"""Refuses questions of a person or in a channel that asks too many of them in a minute."""

from __future__ import annotations

import math

import structlog

from bot.config.configuration import QuestionLimits
from bot.languages.registry import choose_language
from bot.messages import replies
from bot.messages.durations import format_duration
from bot.messages.message import render_message
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.tasks import BackgroundTasks
from bot.storage.turns.question_counts import LimitReached, QuestionCounts
from bot.storage.turns.questions import QuestionMessage
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.turns")


class QuestionLimiter:
    """Counts questions, and tells a person who has reached a limit when to ask again."""

    def __init__(
        self, counts: QuestionCounts, limits: QuestionLimits, messenger: EphemeralMessenger, tasks: BackgroundTasks
    ) -> None:
        self._counts = counts
        self._limits = limits
        self._messenger = messenger
        self._tasks = tasks

    async def admit_question(self, message: QuestionMessage) -> bool:
        """Count a question; return False if it is refused. The refusal is shown to the person alone."""
        if message.is_unasked:
            return True
        channel = message.key.channel
        limits = {message.user: self._limits.person, channel: self._limits.channel if channel[:1] != "D" else 0}
        limits = {subject: limit for subject, limit in limits.items() if limit}
        if not limits:
            return True
        try:
            await self._counts.count_question(message.key.team, limits)
        except LimitReached as reached:
            _log.info("question refused", channel=channel, user=message.user, limit_of=reached.subject)
            self._tasks.start(self._explain_refusal(message, reached, limits[reached.subject]), "refusal of a question")
            return False
        except DatabaseError as error:  # an answer too many is better than none
            _log.warning("question not counted", error=str(error))
        return True

    async def _explain_refusal(self, message: QuestionMessage, reached: LimitReached, limit: int) -> None:
        language = choose_language(message.text)
        wait = format_duration(math.ceil(reached.wait_s), language)
        sentence = replies.PERSON_LIMIT if reached.subject == message.user else replies.CHANNEL_LIMIT
        thread_ts = None if message.opens_thread else message.thread_ts
        text = render_message(sentence, language, count=limit, wait=wait)
        await self._messenger.reach_person(message.key.channel, message.user, text, thread_ts=thread_ts)
