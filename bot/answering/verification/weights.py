"""The fitted weights: what ``scripts/eval_support.py --fit`` printed, with thresholds chosen from its curve.

The fit keeps each weight on its side of zero: no similarity counts against a sentence and no contradiction for it.
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
    -47.593,
    {
        "similarity": 53.956,
        "overlap": 0.0,
        "number": -4.944,
        "identifier": -3.473,
        "name": -2.613,
        "binding": -1.749,
        "denial": -2.546,
        "negation": -1.126,
        "opposite": -2.896,
        "swapped": -2.141,
    },
    0.45,
)
WEIGHTS_ACROSS = Weights(
    -48.17,
    {
        "similarity": 57.348,
        "overlap": 0.674,
        "number": -4.211,
        "identifier": -3.211,
        "name": -0.963,
        "binding": -1.5,
        "denial": -1.5,
        "negation": -2.408,
        "opposite": 0.0,
        "swapped": -1.5,
    },
    0.5,
)
