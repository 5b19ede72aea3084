"""Keeps answers that Slack did not accept, so that the next attempt shows them instead of generating others."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from bot.answering.events import AnswerEvent, Finished, Notice, Offer, Question, Sources, Text
from bot.storage.turns.questions import LedgerTurn, QuestionKey
from knowledge.latest_entries import LatestEntries

_MAX_ANSWERS = 500


@dataclass(slots=True)
class GeneratedAnswer:
    """The answer to one revision of a question."""

    question: Question
    revision: int
    events: tuple[AnswerEvent, ...] = ()
    """All of its events once it is complete."""

    async def replay_events(self) -> AsyncGenerator[AnswerEvent, None]:
        """Yield what a person reads of the complete answer."""
        for event in self.events:
            if isinstance(event, (Sources, Text, Notice, Offer, Finished)):
                yield event


class GeneratedAnswers:
    """The complete answers of this process that are not in Slack; the oldest are dropped if there are too many."""

    def __init__(self) -> None:
        self._answers: LatestEntries[QuestionKey, GeneratedAnswer] = LatestEntries(_MAX_ANSWERS)

    def keep_answer(self, key: QuestionKey, answer: GeneratedAnswer) -> None:
        """Keep an answer if it is complete."""
        if answer.events:
            self._answers[key] = answer

    def take_answer(self, turn: LedgerTurn) -> GeneratedAnswer | None:
        """Return and remove the answer to a question as it is now; None if there is none."""
        answer = self._answers.pop(turn.message.key, None)
        return answer if answer is not None and answer.revision == turn.revision else None

    def forget_answer(self, key: QuestionKey) -> None:
        """Remove the answer to a question."""
        self._answers.pop(key, None)
