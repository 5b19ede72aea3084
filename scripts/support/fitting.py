"""Fit the checker's weights, so that as few false sentences as possible stay unmarked.

A true sentence that is marked costs as much as ``_TRUE`` false ones that are not. Logistic regression does not minimize
this cost: it gives a rare feature a small weight even if it is nearly always right. So a search changes one weight at a
time, in smaller and smaller steps, as long as the cost falls. A sentence counts as unmarked by how far its best finding
lies above zero, so that a small step changes the cost a little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bot.answering.support.claims import extract_claims
from bot.answering.support.conflicts import is_contradicted
from bot.answering.support.embedding_cache import EmbeddingCache
from bot.answering.support.features import FEATURES, compute_features
from bot.answering.support.matching import (
    adds_words,
    analyse_passage,
    contains_literally,
    join_matches,
    match_passages,
    rank_passages,
)
from bot.answering.support.normalisation import strip_frame
from knowledge.embedding.calibration import SimilarityScale
from scripts.support.sets import Pair

Matrix = NDArray[np.float64]

_SIGNS = np.array([1.0, 1.0] + [-1.0] * (len(FEATURES) - 2))
_START = np.array([25.0, 1.0] + [-1.0] * (len(FEATURES) - 2) + [-21.0])
"""Weights and bias."""
_LEVEL = 0.88
"""The similarity at which a change of its weight is balanced by the bias."""
_SIMILARITY = {"same": 26.0, "across": 42.0}
"""The largest weight of similarity: a larger one saves nothing, and leaves the judge fewer sentences."""
_OTHERS = 5.0
_STEPS = (2.0, 1.0, 0.5, 0.25, 0.12, 0.06) * 2
_SOFT = 0.25
"""The width, as a logit, of the transition between marked and unmarked."""
_TRUE = {"same": 24.0, "across": 14.0}
_SETS = {"mtragun": 2.0, "cmrc": 0.7, "wice": 0.3, "fever": 0.3}
"""Answers count most. Claims of WiCE and FEVER often rest on more than their evidence."""
_KINDS = {"negation": 3.0, "number": 3.0, "name": 3.0, "human": 2.0, "other document": 2.0, "near document": 1.5,
          "side": 0.5, "swap": 0.7, "other answer": 0.5}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """A pair with the features of each finding that may support it, shape ``(findings, features)``."""

    pair: Pair
    findings: Matrix


async def find_examples(pairs: Sequence[Pair], embed: EmbeddingCache, scale: SimilarityScale) -> list[Example]:
    """Return the pairs whose sentence claims something, with the features that the product computes."""
    examples = []
    for pair in pairs:
        claim, question = extract_claims(strip_frame(pair.sentence)), extract_claims(pair.question)
        passages = {n: analyse_passage(source.text, source.title) for n, source in enumerate(pair.passages)}
        if not claim.source or any(contains_literally(passage.text, claim.source) for passage in passages.values()):
            continue
        ranked = rank_passages(claim, passages)[:3]
        matches = (await match_passages(claim, {n: passages[n] for n in ranked}, embed, scale)).values()
        agreeing = [match for match in matches if not is_contradicted(match)]
        if len(agreeing) == len(matches):
            joined = [join_matches(*both) for both in combinations(matches, 2) if adds_words(*both)]
            agreeing += [match for match in joined if not is_contradicted(match)]
        if agreeing:
            examples.append(Example(pair, np.stack([compute_features(one, question) for one in agreeing])))
    return examples


def fit_weights(examples: Sequence[Example], relation: str) -> tuple[float, dict[str, float]]:
    """Return the bias and the weights for sentences and passages in the ``same`` language, or ``across`` two."""
    found = np.zeros((len(examples), max(len(one.findings) for one in examples), len(FEATURES) + 1))
    for row, one in zip(found, examples, strict=True):
        row[: len(one.findings), :-1], row[: len(one.findings), -1] = one.findings, 1.0
    costs = _compute_costs(examples, _TRUE[relation])

    def cost(x: Matrix) -> float:
        best = np.where(found[..., -1] > 0, found @ x, -100.0).max(axis=1)
        return float(costs @ (1.0 / (1.0 + np.exp(-best / _SOFT))))

    largest = np.array([_SIMILARITY[relation]] + [_OTHERS] * (len(FEATURES) - 1) + [np.inf])
    x = _START.copy()
    x[~found.any(axis=(0, 1))] = 0.0  # features that no example has
    for size in _STEPS:
        for place in (len(x) - 1, *range(len(x) - 1)):
            for step in (-size, size):
                while cost(moved := _change_weight(x, place, step, largest)) < cost(x) - 1e-4:
                    x = moved
    return round(x[-1], 2), {name: round(float(w), 2) for name, w in zip(FEATURES, x, strict=False)}


def _change_weight(x: Matrix, place: int, step: float, largest: Matrix) -> Matrix:
    """Return the weights with one changed, within its limit and without a change of its sign."""
    moved = x.copy()
    if place == 0:
        step *= 2.0
        moved[-1] -= step * _LEVEL
    moved[place] = np.clip(x[place] + step, -largest[place], largest[place])
    if place < len(_SIGNS) and moved[place] * _SIGNS[place] < 0:
        moved[place] = 0.0
    return moved


def _compute_costs(examples: Sequence[Example], true: float) -> Matrix:
    """Return the cost of each unmarked sentence, negative for a true one. Each kind of each set counts alike."""
    keys = [(e.pair.set_name, "true" if e.pair.label == "supported" else e.pair.kind) for e in examples]
    sizes = Counter(keys)
    worth = {key: -true if key[1] == "true" else _KINDS.get(key[1], 1.0) for key in sizes}
    return np.array([_SETS.get(key[0], 1.0) * worth[key] / max(10, sizes[key]) for key in keys])
