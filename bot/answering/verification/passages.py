"""Texts analysed for comparing. Pure.

A passage is analysed lazily: its words at once, the claims of a sentence when a sentence of the answer is like it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from bot.answering.markdown.sentences import join_wrapped_lines, sentences
from bot.answering.verification.claims import Claims, content_words, extract_claims
from bot.answering.verification.quantities import normalise_text
from knowledge.language import detect_language

_NUMBER_GOES_ON = r"(?!\d|[.,]\d|hundred|thousand|million|billion|[百千万亿%])"
_BARE = " ,;:，；。：、.!?"


@dataclass(frozen=True)
class AnalysedText:
    """A text with what it claims."""

    text: str
    claims: Claims
    chinese: bool

    @cached_property
    def words(self) -> frozenset[str]:
        """Return its content words, those of names and numbers among them."""
        return content_words(self.claims.text)


@dataclass(frozen=True)
class AnalysedPassage:
    """A passage, ready for comparing."""

    text: str
    """With its title and heading, which count as said by it."""
    sentences: tuple[str, ...]
    words: tuple[frozenset[str], ...]
    """The content words of each sentence."""
    chinese: bool

    @cached_property
    def whole(self) -> AnalysedText:
        """Return everything that the passage claims."""
        return analyse_text(self.text)

    def __add__(self, other: AnalysedPassage) -> AnalysedPassage:
        """Return what both say together, this one's sentences first."""
        text, found = f"{self.text}\n{other.text}", self.sentences + other.sentences
        return AnalysedPassage(text, found, self.words + other.words, self.chinese)

    def overlaps(self, words: Collection[str]) -> list[float]:
        """Return the share of a sentence's words that stand in each sentence of the passage."""
        return [len(found.intersection(words)) / max(1, len(words)) for found in self.words]

    def stretches(self, likely: Iterable[int]) -> dict[tuple[int, ...], AnalysedText]:
        """Return the likely sentences and their pairs with a neighbour, by their places in the passage."""
        places = sorted(set(likely))
        pairs = {(i, i + 1) for place in places for i in (place - 1, place) if 0 <= i < len(self.sentences) - 1}
        glue = "" if self.chinese else " "
        found = [(place,) for place in places] + sorted(pairs)
        return {at: analyse_text(glue.join(self.sentences[i] for i in at)) for at in found}


@lru_cache(maxsize=8192)
def analyse_text(text: str) -> AnalysedText:
    """Return a text with its claims."""
    return AnalysedText(text, extract_claims(text), detect_language(text) == "zh")


@lru_cache(maxsize=512)
def analyse_passage(text: str, path: str = "") -> AnalysedPassage:
    """Return a passage ready for comparing; ``path`` is its title and heading."""
    found = tuple(sentences(join_wrapped_lines(text)))
    words = tuple(content_words(normalise_text(sentence)) for sentence in found)
    return AnalysedPassage(f"{path}\n{text}" if path else text, found, words, detect_language(text) == "zh")


def contains_literally(passage: str, sentence: str) -> bool:
    """Return whether a passage contains a sentence word for word, white space and final stops aside.

    What follows a negation does not count, "reimbursed" in "not reimbursed", and no part of a number: 80 in 8080.
    """
    letters = _letters(sentence)
    behind = _NUMBER_GOES_ON if letters[-1:].isdigit() else ""
    before = r"(?<![\d.,])" if letters[:1].isdigit() else ""
    whole = rf"(?<!not)(?<!never)(?<![不没未无非勿]){before}{re.escape(letters)}{behind}"
    return bool(letters and re.search(whole, _letters(passage)))


@lru_cache(maxsize=1024)
def _letters(text: str) -> str:
    return re.sub(r"\s+", "", normalise_text(text)).strip(_BARE)
