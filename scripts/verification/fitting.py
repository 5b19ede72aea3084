"""The fit of the verifier's weights: logistic regression over the best finding of each pair.

A sentence is supported by the passage, or pair of passages, that supports it best. So the fit alternates between
choosing each pair's best finding and fitting the weights to these (multiple-instance learning).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bot.answering.verification.embedding_cache import EmbeddingCache
from bot.answering.verification.features import FEATURES, compute_features
from bot.answering.verification.matching import join_matches, match_passages, rank_passages
from bot.answering.verification.normalisation import strip_frame
from bot.answering.verification.passages import analyse_passage, analyse_text
from scripts.verification.changes import PLAIN_CHANGES
from scripts.verification.sets import Pair

Matrix = NDArray[np.float64]

_SIGNS = np.array([1.0, 1.0] + [-1.0] * (len(FEATURES) - 2))
_SET_WEIGHTS = {"mtragun": 3.0, "wice": 0.15, "fever": 0.15}
"""Answers count most. Claims of WiCE and FEVER often rest on more than their evidence."""
_PLAIN_WEIGHT, _SUBTLE_WEIGHT = 2.0, 0.3
_STEPS, _ROUNDS = 1500, 3
RIDGE = {"same": 0.01, "across": 0.005}


@dataclass(frozen=True, slots=True)
class Example:
    """A pair with the features of each finding, shape ``(findings, features)``."""

    pair: Pair
    findings: Matrix


async def find_examples(pairs: Sequence[Pair], embed: EmbeddingCache) -> list[Example]:
    """Return the pairs that claim anything, with the features that the product computes."""
    examples = []
    for pair in pairs:
        claim = analyse_text(strip_frame(pair.sentence))
        passages = {n: analyse_passage(source.text, source.title) for n, source in enumerate(pair.passages)}
        ranked = rank_passages(claim, passages)[:3]
        matches = await match_passages(claim, {n: passages[n] for n in ranked}, embed)
        found = [*matches.values(), *(join_matches(matches[n], matches[m]) for n, m in combinations(matches, 2))]
        if found and claim.text:
            question = analyse_text(pair.question)
            examples.append(Example(pair, np.stack([compute_features(one, question) for one in found])))
    return examples


def fit(examples: Sequence[Example], ridge: float) -> tuple[float, dict[str, float]]:
    """Return bias and weights; each weight stays on its side of zero."""
    truth = np.array([example.pair.label == "supported" for example in examples], dtype=float)
    shares = _shares(examples)
    weights = np.where(_SIGNS > 0, 1.0, -2.0)
    weights[0], bias = 20.0, 0.0
    for _ in range(_ROUNDS):
        best = np.stack([one.findings[np.argmax(one.findings @ weights)] for one in examples])
        weights, bias = _regress(best, truth, shares, ridge)
    return round(bias, 3), {name: round(float(w), 3) for name, w in zip(FEATURES, weights, strict=True)}


def _shares(examples: Sequence[Example]) -> Matrix:
    """Return each example's weight: sets count alike, within a set the true and the false, and the kinds of these."""
    keys = [(e.pair.of, e.pair.language, e.pair.label == "supported", e.pair.kind) for e in examples]
    sizes = Counter(keys)
    kinds = Counter(key[:3] for key in sizes)
    return np.array([_importance(key[0], key[2], key[3]) / sizes[key] / kinds[key[:3]] for key in keys])


def _importance(name: str, supported: bool, kind: str) -> float:  # noqa: FBT001
    weight = _SET_WEIGHTS.get(name, 1.0)
    if supported or kind == "other number":
        return weight
    return weight * (_PLAIN_WEIGHT if kind in (*PLAIN_CHANGES, "human") else _SUBTLE_WEIGHT)


def _regress(x: Matrix, truth: Matrix, shares: Matrix, ridge: float) -> tuple[Matrix, float]:
    """Return weights and bias by accelerated projected gradient descent (Nesterov, 1983) on scaled features."""
    shares = shares / shares.sum()
    mean = shares @ x
    spread = np.sqrt(shares @ (x - mean) ** 2) + 1e-9
    scaled = (x - mean) / spread
    step = 1.0 / (0.25 * np.linalg.eigvalsh((scaled * shares[:, None]).T @ scaled).max() + 0.25 + ridge)
    weights, bias = np.zeros(x.shape[1]), 0.0
    ahead, bias_ahead, pace = weights, bias, 1.0
    for _ in range(_STEPS):
        error = shares * (1.0 / (1.0 + np.exp(-(scaled @ ahead + bias_ahead))) - truth)
        moved = ahead - step * (scaled.T @ error + ridge * ahead)
        moved[moved * _SIGNS < 0] = 0.0
        bias_moved = bias_ahead - step * float(error.sum())
        faster = (1.0 + np.sqrt(1.0 + 4.0 * pace * pace)) / 2.0
        ahead = moved + (pace - 1.0) / faster * (moved - weights)
        bias_ahead = bias_moved + (pace - 1.0) / faster * (bias_moved - bias)
        weights, bias, pace = moved, bias_moved, faster
    return weights / spread, bias - float((weights / spread) @ mean)
