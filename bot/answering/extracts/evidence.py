"""The part of a passage that a sentence of an answer rests on, and whether the sentence says less than it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bot.answering.extracts.answer_types import AnswerType, classify_question, find_answer_spans
from bot.answering.extracts.passage_parts import Part, index_words, strip_marks

_FIGURES: Final = frozenset[AnswerType]({"time", "number"})
"""Kinds of questions whose answers a pattern recognises reliably."""


def measure_support(sentences: Sequence[frozenset[str]], part: Part) -> float:
    """Return the largest share of a sentence's words that a part has; each sentence is given by its words."""
    return max((len(words & part.words) / len(words) for words in sentences if words), default=0.0)


def says_less(sentence: str, parts: Sequence[Part], question: str) -> bool:
    """Return whether the part that a sentence rests on has the figure or date that is asked for, and it does not.

    Example: "You get vacation." over "You get 20 days of vacation." for "How many days of vacation do I get?"
    """
    kind = classify_question(question)
    words = index_words(strip_marks(sentence))
    best = max(parts, key=lambda part: measure_support([words], part), default=None)
    if best is None or kind not in _FIGURES or find_answer_spans(kind, sentence, question):
        return False
    return bool(find_answer_spans(kind, strip_marks(best.text), question))
