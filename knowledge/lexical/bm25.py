"""BM25 scores of texts outside of the store, comparable to the store's own scores. Pure.

A store does not return its term weights, but they follow from the scores of its candidates. Each score is the sum of
the question's term weights, by their frequency in the candidate: a linear equation with the weights as unknowns.
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
"""The parameters of both stores."""

DEFAULT_WEIGHT_SHARE: Final = 0.4
"""The share of the greatest possible weight for a term of which the candidates say nothing.

With it, pages are as often trusted while the store is down as documents are (``scripts/eval_live.py``).
"""
_OPENING_TEXTS: Final = 3
"""Texts at the beginning that are always among the likeliest, because they say what a document is about."""
_PRIOR_STRENGTH: Final = 0.3
"""How many candidates the default weight counts as, so that a few unusual ones do not decide."""


@dataclass(frozen=True, slots=True)
class TermWeights:
    """The weights of a question's terms in a store."""

    weights: Mapping[str, float]
    average_terms: float

    def score_terms(self, terms: str) -> float:
        """Return the score that a text with these index terms would have in the store."""
        counts = Counter(terms.split())
        return sum(
            weight * _saturate_count(counts[term], counts.total(), self.average_terms)
            for term, weight in self.weights.items()
            if counts[term]
        )


def estimate_weights(
    question: Sequence[str], max_weight: float, candidates: Sequence[tuple[str, float]], others: Sequence[str]
) -> TermWeights:
    """Estimate the weights of terms from the store's candidates.

    Args:
        question: its distinct terms.
        max_weight: the greatest weight that a term can have in the store.
        candidates: the index terms of texts in the store, with their BM25 scores above 0.
        others: the index terms of the texts to score; they count for the average length too.

    """
    counts = [Counter(terms.split()) for terms, _ in candidates]
    lengths = [count.total() for count in counts] + [len(terms.split()) for terms in others]
    average = max(1.0, float(np.mean(lengths))) if lengths else 1.0
    default = np.full(len(question), DEFAULT_WEIGHT_SHARE * max_weight)
    if not counts or not question:
        return TermWeights(dict(zip(question, default.tolist(), strict=True)), average)
    frequencies = np.array(
        [[_saturate_count(count[term], count.total(), average) for term in question] for count in counts]
    )
    scores = np.array([score for _, score in candidates])
    # Ridge regression towards the default weight, which is solvable with few or similar candidates too.
    matrix = frequencies.T @ frequencies + _PRIOR_STRENGTH * np.eye(len(question))
    weights = np.linalg.solve(matrix, frequencies.T @ scores + _PRIOR_STRENGTH * default)
    # A term in no candidate is not in the store: nothing is rarer, so the lexical search would have returned it.
    weights[~frequencies.any(axis=0)] = max_weight
    return TermWeights(dict(zip(question, np.clip(weights, 0.0, max_weight).tolist(), strict=True)), average)


def compute_weights(question: Sequence[str], texts: Sequence[str]) -> TermWeights:
    """Return the weights of terms among these texts only, to choose the likeliest text."""
    counts = [Counter(terms.split()) for terms in texts]
    matches = {term: sum(term in count for count in counts) for term in question}
    average = sum(count.total() for count in counts) / max(1, len(counts))
    return TermWeights(
        {term: math.log1p((len(counts) - matching + 0.5) / (matching + 0.5)) for term, matching in matches.items()},
        max(1.0, average),
    )


def choose_likeliest(index: Sequence[str], query_terms: Sequence[str], limit: int) -> list[int]:
    """Return the places of a document's opening texts and of those whose terms match the question best."""
    if len(index) <= limit:
        return list(range(len(index)))
    weights = compute_weights(query_terms, index)
    scores = [weights.score_terms(one) for one in index]
    best = sorted(range(len(index)), key=lambda place: (place >= _OPENING_TEXTS, -scores[place], place))
    return sorted(best[:limit])


def _saturate_count(count: int, length: int, average: float) -> float:
    return count * (K1 + 1) / (count + K1 * (1 - B + B * length / average)) if count else 0.0
