"""Texts analysed for comparing: a sentence by its clauses, a passage by its stretches of one or two sentences. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bot.answering.language import language_of
from bot.answering.sentences import sentences, unwrap
from bot.answering.verification.claims import Claims, claims
from bot.answering.verification.lexicon import Concept, concepts
from bot.answering.verification.quantities import normal

_CLAUSE_END = re.compile(
    r"(?<=[,;:，；。：])\s*|(?<=[.!?])\s+|\s(?=(?:and|but|while|unless|except|until)\s)|(?=而(?!且)|但是?|否则)"
)
_SEGMENT_END = re.compile(r"(?<=[;；。])\s*|(?<=[.!?])\s+")
_BARE = " ,;:，；。：、.!?"
_IDEOGRAPH = re.compile(r"[㐀-鿿]")


@dataclass(frozen=True, slots=True)
class AnalysedText:
    """A text with what it claims and names."""

    text: str
    claims: Claims
    names: frozenset[Concept]


@dataclass(frozen=True, slots=True)
class AnalysedSentence:
    """A sentence or a stretch of one or two, with its parts."""

    whole: AnalysedText
    clauses: tuple[AnalysedText, ...]
    segments: tuple[AnalysedText, ...]
    chinese: bool


@dataclass(frozen=True, slots=True)
class AnalysedPassage:
    """A passage, ready for comparing: its stretches in the order of their vectors."""

    whole: AnalysedText
    stretches: tuple[AnalysedSentence, ...]
    single: tuple[bool, ...]
    """Whether each stretch is one sentence, not two together."""
    chinese: bool

    def __add__(self, other: AnalysedPassage) -> AnalysedPassage:
        """Return what both say together; the order of stretches is this one's, then the other's."""
        whole = analyse_text(f"{self.whole.text}\n{other.whole.text}")
        return AnalysedPassage(whole, self.stretches + other.stretches, self.single + other.single, self.chinese)


@lru_cache(maxsize=8192)
def analyse_text(text: str) -> AnalysedText:
    """Take a text apart."""
    taken = claims(text)
    return AnalysedText(text, taken, concepts(taken.bare))


@lru_cache(maxsize=4096)
def analyse_sentence(text: str) -> AnalysedSentence:
    """Take a sentence or stretch apart, clause by clause."""
    clauses, segments = _parts(text, _CLAUSE_END), _parts(text, _SEGMENT_END)
    return AnalysedSentence(analyse_text(text), clauses, segments, language_of(text) == "zh")


def split_stretches(passage: str) -> list[str]:
    """Return a passage's sentences, then its neighbouring sentences two by two."""
    singles = sentences(unwrap(passage))
    glue = "" if _IDEOGRAPH.search(passage) else " "
    return singles + [glue.join(pair) for pair in pairwise(singles)]


def stretch_similarities(singles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the likeness of a sentence to each stretch of a passage, from that to its single sentences.

    Two sentences together count as the more alike of the two: embedding them as well would double the time.
    """
    return np.concatenate([singles, np.maximum(singles[:-1], singles[1:])])


def analyse_passage(passage: str, path: str = "") -> AnalysedPassage:
    """Prepare a passage; ``path`` (its title and heading) counts as said by it."""
    texts = split_stretches(passage)
    whole = analyse_text(f"{path}\n{passage}" if path else passage)
    single = tuple(2 * number <= len(texts) for number in range(len(texts)))
    return AnalysedPassage(whole, tuple(analyse_sentence(text) for text in texts), single, language_of(passage) == "zh")


def contains_literally(passage: str, sentence: str) -> bool:
    """Return whether a passage contains a sentence word for word, white space and final stops aside."""
    return _letters(sentence) in _letters(passage)


def _letters(text: str) -> str:
    return re.sub(r"\s+", "", normal(text)).strip(_BARE)


def _parts(text: str, end: re.Pattern[str]) -> tuple[AnalysedText, ...]:
    """Cut a text; what carries no meaning of its own stays with what comes before it."""
    merged: list[str] = []
    for piece in end.split(text):
        if not piece or not piece.strip(_BARE):
            continue
        bare = analyse_text(piece)
        if merged and not bare.claims.words and not bare.names:
            merged[-1] += f" {piece}"
        else:
            merged.append(piece)
    return tuple(analyse_text(piece) for piece in merged)
