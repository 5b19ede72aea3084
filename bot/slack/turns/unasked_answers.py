"""Decides whether Kvasir answers a question that people ask each other, without a mention of Kvasir."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from bot.answering.events import AnswerEvent, Finished, Question
from bot.answering.retrieval.channel_filters import add_filters
from bot.slack.conversations.addressing import asks_everybody
from bot.slack.turns.shared_parts import SharedParts
from bot.storage.turns.questions import QuestionMessage
from knowledge.errors import KnowledgeError

_log = structlog.get_logger("kvasir.turns")

LEAST_CONFIDENCE: Final = 0.85
"""Chosen on the even half of the questions of scripts/eval_documents.py, where no unanswerable one passes. In the odd
half, 5 % of the unanswerable English ones pass and no Chinese one; of the answerable ones, 35 and 39 % pass."""
_ROUTES = frozenset({"engine", "verified"})
"""Answers that are posted: no extracts alone, and nothing about missing documents."""


class UnaskedAnswers:
    """Checks the channel's settings, the search and the answer."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def may_begin(self, message: QuestionMessage, question: Question) -> bool:
        """Return whether the documents are sure to have the answer, and the hour is not full.

        Raises:
            DatabaseError: the settings of the channel cannot be read.

        """
        most = (await self._shared.rules.find_rule(message.key.channel)).unasked_per_hour
        if not asks_everybody(message) or await self._shared.channel_settings.count_unasked(message) >= most:
            return False
        try:
            query = add_filters(question.text, question.asker.within, datetime.now(UTC))
            found = await self._shared.dependencies.search(query, limit=2, viewers=question.asker.viewers)
        except KnowledgeError as error:
            _log.info("unasked question not searched", channel=message.key.channel, error=type(error).__name__)
            return False
        return found.answerable and max((hit.confidence for hit in found.hits), default=0.0) >= LEAST_CONFIDENCE

    async def may_post(self, message: QuestionMessage, events: Sequence[AnswerEvent]) -> bool:
        """Return whether a complete answer is good enough, and count it if so.

        Raises:
            DatabaseError: it cannot be counted.

        """
        finished = events[-1] if events else None
        if (
            not isinstance(finished, Finished)
            or finished.route not in _ROUTES
            or not finished.cited
            or finished.marked_count
            or finished.removed_count
        ):
            return False
        most = (await self._shared.rules.find_rule(message.key.channel)).unasked_per_hour
        return await self._shared.channel_settings.reserve_unasked(message, most)
