"""The part of a passage that a sentence of an answer rests on, and whether it is enough of the sentence. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from bot.answering.events import Passage
from bot.answering.extracts.answer_types import AnswerType, classify_question, find_answer_spans
from bot.answering.extracts.passage_parts import Part, index_words, split_parts, strip_marks
from knowledge.language import is_cjk

_FIGURES: Final = frozenset[AnswerType]({"time", "number"})
"""Kinds of questions whose answers a pattern recognises reliably."""

_OTHER_ANSWER: Final = re.compile(
    r"\b(?:no|not|none|never|without|un\w+|all|any|every|each|if|when|until)\b|n't\b|[不无没未]|任何|所有|如果|全部",
    re.IGNORECASE,
)
"""What answers a question for a figure without one: "unlimited", "if you are sick"."""

_HALF: Final = 0.5
_MOST: Final = 0.75
"""Of the 0.5B's answers to 440 questions of XQuAD, CMRC and about a gateway, ten lack a source, and eight of these are
wrong. No passage has more than 0.68 of their words."""


def measure_support(sentences: Sequence[frozenset[str]], part: Part) -> float:
    """Return the largest share of a sentence's words that a part has; each sentence is given by its words."""
    return max((len(words & part.words) / len(words) for words in sentences if words), default=0.0)


def lacks_source(sentence: str, passages: Sequence[Passage]) -> bool:
    """Return whether no part has half of a sentence's words, and no passage most of them; two languages do not compare.

    Titles and headings count, too. A small model that does not find the answer joins the question's words with a fact
    of another sentence. Example: "The premium for my family is $186.44", where that is the one of employees with
    children.
    """
    if not passages or any(is_cjk(passage.text) != is_cjk(sentence) for passage in passages):
        return False
    words = index_words(strip_marks(sentence))
    for passage in passages:
        path = index_words(f"{passage.title} {passage.heading}")
        parts = [part.words | index_words(part.lead) for part in split_parts(passage.text)]
        whole = path.union(*parts)
        if len(words & whole) >= _MOST * len(words) or any(
            len(words & (path | part)) >= _HALF * len(words) for part in parts
        ):
            return False
    return True


def says_less(sentence: str, passages: Sequence[Passage], question: str) -> bool:
    """Return whether the part that a sentence rests on has the figure or date that is asked for, and it does not.

    Example: "You get vacation." over "You get 20 days of vacation." for "How many days of vacation do I get?"
    """
    kind, said = classify_question(question), strip_marks(sentence)
    if kind not in _FIGURES or _OTHER_ANSWER.search(said) or find_answer_spans(kind, said, ""):
        return False
    words = [index_words(said)]
    parts = [part for passage in passages for part in split_parts(passage.text)]
    best = max(parts, key=lambda part: measure_support(words, part), default=None)
    if best is None:
        return False
    text = strip_marks(best.text)
    return said.rstrip(" .。") not in text and bool(find_answer_spans(kind, text, question))
