"""The fitted weights: what ``scripts/eval_verification.py --fit`` printed.

Fitted on the public sets that ``scripts/verification/sets.py`` names for fitting; the thresholds keep 93 % of the
sentences of their reference answers. Each weight stays on its side of zero: no similarity counts against a sentence and
no contradiction for it.
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
        """Return the probability that the passage supports the sentence."""
        total = self.bias + float(features @ np.array([self.of[name] for name in FEATURES]))
        return float(1.0 / (1.0 + np.exp(-total)))


WEIGHTS_SAME = Weights(
    -20.891,
    {
        "similarity": 24.046,
        "overlap": 1.118,
        "number": -4.053,
        "identifier": -1.645,
        "name": -3.246,
        "binding": -3.881,
        "denial": -1.998,
        "negation": -1.896,
        "opposite": -4.126,
        "swapped": -2.049,
    },
    0.33,
)
WEIGHTS_ACROSS = Weights(
    -27.594,
    {
        "similarity": 33.219,
        "overlap": 0.0,
        "number": -2.051,
        "identifier": -1.087,
        "name": -0.94,
        "binding": 0.0,
        "denial": 0.0,
        "negation": -1.022,
        "opposite": 0.0,
        "swapped": 0.0,
    },
    0.43,
)
