"""The fitted weights: what ``scripts/eval_verification.py --fit --most 500`` prints.

Fitted on the public sets that ``scripts/verification/sets.py`` names for fitting; the thresholds keep 93 % of the
sentences of their reference answers. Each weight stays on its side of zero: no similarity counts against a sentence and
no contradiction for it. Across languages the sets have few identifiers: their weight is that of numbers.
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
    -20.811,
    {
        "similarity": 23.949,
        "overlap": 1.082,
        "number": -4.027,
        "identifier": -1.684,
        "name": -3.187,
        "binding": -3.981,
        "denial": -1.984,
        "negation": -1.902,
        "opposite": -4.236,
        "swapped": -2.2,
    },
    0.3,
)
WEIGHTS_ACROSS = Weights(
    -28.222,
    {
        "similarity": 33.794,
        "overlap": 0.0,
        "number": -2.032,
        "identifier": -2.032,
        "name": -0.819,
        "binding": 0.0,
        "denial": 0.0,
        "negation": -0.968,
        "opposite": 0.0,
        "swapped": 0.0,
    },
    0.43,
)
