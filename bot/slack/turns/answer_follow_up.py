"""What follows an answer: it is stored, gets its final form, and the asker may be offered more."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import structlog

from bot.answering.events import Finished, Passage, Question
from bot.languages.registry import Language
from bot.slack.posting.answer_layout import AnswerLayout
from bot.slack.posting.reply import AnswerReply
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.turns.unasked_answers import UnaskedAnswers
from bot.storage.answers import StoredAnswer, StoredPassage
from bot.storage.turns.questions import QuestionKey, QuestionMessage, is_app
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.turns")


Offer = Callable[[QuestionMessage, str, Language], None]
"""Looks later whether the person may see more, given the question, what was searched for it and the language."""


class AnswerFollowUp:
    """Handles complete answers. An answer that cannot be stored stays in Slack all the same."""

    def __init__(
        self, shared: SharedParts, offers: Sequence[Offer], layout: AnswerLayout, *, unasked: UnaskedAnswers
    ) -> None:
        self._shared = shared
        self._offers = offers
        self._layout = layout
        self.documents = layout.documents
        self.unasked = unasked

    async def handle_answer(
        self, message: QuestionMessage, question: Question, finished: Finished, reply: AnswerReply
    ) -> None:
        """Store an answer, keep its reasoning, give it its final form, and look whether the asker may see more.

        A confidential answer stays in its messages alone.
        """
        read = [*(one.chunks for one in reply.passages), *(one.chunks or () for one in question.history)]
        self._shared.reasonings.keep_reasoning(message.key, message.user, finished.reasoning, itertools.chain(*read))
        await self._store_answer(message, question, finished, reply)
        await self._layout.improve_messages(
            message, question.text, finished, reply, publishes=not question.asker.is_confidential
        )
        is_quiet = question.wants_web or message.is_unasked or is_app(message.user) or question.asker.is_confidential
        if finished.search_query and not is_quiet:
            for offer in self._offers:
                offer(message, finished.search_query, reply.language)

    def forget_answer(self, key: QuestionKey | None, conversation: str) -> None:
        """Erase the reasoning behind an answer, and what its conversation has seen; None and "" stand for all."""
        self._shared.reasonings.forget_reasoning(key)
        self._shared.dependencies.forget(conversation)

    async def _store_answer(
        self, message: QuestionMessage, question: Question, finished: Finished, reply: AnswerReply
    ) -> None:
        stored = StoredAnswer(
            message.key,
            message.thread_ts,
            message.user,
            reply.language,
            question.text,
            reply.markdown,
            tuple(map(_store_passage, finished.cited)),
            finished.route,
            self._shared.dependencies.engine_status().model or "",
            finished.marked_count,
            finished.removed_count,
            finished.timings.get("total", 0.0),
        )
        try:
            await self._shared.answers.save_answer(stored, is_kept=not question.asker.is_confidential)
        except DatabaseError as error:
            _log.warning("answer not stored", channel=message.key.channel, error=str(error))


def _store_passage(passage: Passage) -> StoredPassage:
    return StoredPassage(
        passage.n,
        passage.source,
        passage.document,
        passage.title,
        passage.heading,
        passage.url,
        passage.chunks,
        passage.as_of.isoformat() if passage.as_of is not None else "",
        is_material=passage.material is not None,
    )
