"""BM25 of texts that are in no store, in the unit of the store that a question was put to. Pure.

A store does not say how much a term weighs there. Its candidates do: each one's score is the sum of what the question's
terms weigh, each as often as the candidate holds it, which is a linear equation with the weights as its unknowns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

K1: Final = 1.2
B: Final = 0.75
"""As both stores have them."""

DEFAULT_WEIGHT_SHARE: Final = 0.4
"""Of the greatest weight that a term can have: taken for a term that the candidates tell nothing of. With it, pages are
believed as often while the store is down as documents are (``scripts/eval_live.py``).
"""
_PRIOR_STRENGTH: Final = 0.3
"""How many candidates the usual weight counts as, so that a few odd ones do not decide."""


@dataclass(frozen=True, slots=True)
class TermWeights:
    """What the terms of a question weigh in a store."""

    weights: Mapping[str, float]
    average_terms: float
    """Of a text."""

    def bm25(self, terms: str) -> float:
        """Return what a text with these index terms would score in the store."""
        counts = Counter(terms.split())
        return sum(
            weight * _saturate(counts[term], counts.total(), self.average_terms)
            for term, weight in self.weights.items()
            if counts[term]
        )


def estimate_weights(
    question: Sequence[str], most: float, known: Sequence[tuple[str, float]], others: Sequence[str]
) -> TermWeights:
    """Find what terms weigh.

    Args:
        question: its distinct terms.
        most: the greatest weight that a term can have in the store.
        known: the index terms of texts in the store, with their BM25 over 0.
        others: the index terms of texts that are to be scored; they tell how long a text is on average, too.

    """
    counts = [Counter(terms.split()) for terms, _ in known]
    lengths = [count.total() for count in counts] + [len(terms.split()) for terms in others]
    average = max(1.0, float(np.mean(lengths))) if lengths else 1.0
    usual = np.full(len(question), DEFAULT_WEIGHT_SHARE * most)
    if not counts or not question:
        return TermWeights(dict(zip(question, usual.tolist(), strict=True)), average)
    held = np.array([[_saturate(count[term], count.total(), average) for term in question] for count in counts])
    scores = np.array([bm25 for _, bm25 in known])
    # Ridge regression towards the usual weight: solvable however few candidates there are, and however alike.
    found = np.linalg.solve(
        held.T @ held + _PRIOR_STRENGTH * np.eye(len(question)), held.T @ scores + _PRIOR_STRENGTH * usual
    )
    # What no candidate holds is nowhere in the store: nothing is rarer, so the lexical leg would have brought it.
    found[~held.any(axis=0)] = most
    return TermWeights(dict(zip(question, np.clip(found, 0.0, most).tolist(), strict=True)), average)


def compute_weights(question: Sequence[str], texts: Sequence[str]) -> TermWeights:
    """Find what terms weigh among these texts alone, to tell which of them is likeliest to answer."""
    counts = [Counter(terms.split()) for terms in texts]
    held = {term: sum(term in count for count in counts) for term in question}
    average = sum(count.total() for count in counts) / max(1, len(counts))
    return TermWeights(
        {term: math.log1p((len(counts) - found + 0.5) / (found + 0.5)) for term, found in held.items()},
        max(1.0, average),
    )


def _saturate(count: int, length: int, average: float) -> float:
    return count * (K1 + 1) / (count + K1 * (1 - B + B * length / average)) if count else 0.0
