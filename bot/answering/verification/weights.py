"""The fitted weights: what ``scripts/eval_support.py --fit`` printed, with thresholds chosen from its curve.

The fit uses half of the pairs in ``tests/data/support_pairs.jsonl`` and keeps each weight on its side of zero: no
similarity counts against a sentence and no contradiction for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.answering.verification.features import FEATURES


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model."""

    bias: float
    of: dict[str, float]
    threshold: float
    """The probability from which a sentence counts as supported."""

    def probability(self, features: NDArray[np.float64]) -> float:
        """Return the probability that the passage bears the sentence out."""
        total = self.bias + float(features @ np.array([self.of[name] for name in FEATURES]))
        return float(1.0 / (1.0 + np.exp(-total)))


WEIGHTS_SAME = Weights(
    -28.65,
    {
        "cosine": 31.456,
        "overlap": 2.59,
        "shared_names": 1.157,
        "number": -4.835,
        "identifier": -3.589,
        "name": -2.37,
        "rival": -2.912,
        "stranger": -2.201,
        "elsewhere": -1.78,
        "binding": -1.913,
        "binding_wide": -3.358,
        "denied": -1.896,
        "undenied": -1.582,
        "negation": -0.732,
        "new_negation": -1.773,
        "side": -2.57,
        "new_side": -1.659,
        "scope": -2.204,
        "rate": -2.014,
        "each": -2.315,
        "order": -1.264,
        "swapped": -5.175,
        "substituted": -0.783,
        "count": -2.0,
    },
    0.65,
)
WEIGHTS_ACROSS = Weights(
    -25.557,
    {
        "cosine": 29.295,
        "overlap": 2.498,
        "shared_names": 0.762,
        "number": -4.187,
        "identifier": -3.505,
        "name": -0.705,
        "rival": -2.382,
        "stranger": -0.563,
        "elsewhere": -0.7,
        "binding": -0.708,
        "binding_wide": -1.538,
        "denied": -1.2,
        "undenied": -1.2,
        "negation": -2.594,
        "new_negation": -1.429,
        "side": -0.148,
        "new_side": -0.147,
        "scope": -2.082,
        "rate": -2.008,
        "each": -1.501,
        "order": -1.5,
        "swapped": -5.0,
        "substituted": -2.0,
        "count": -2.0,
    },
    0.7,
)
