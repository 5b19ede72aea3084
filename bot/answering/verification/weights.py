"""The fitted weights: what ``scripts/eval_verification.py --fit --most 500`` prints.

Fitted on the public sets that ``scripts/verification/sets.py`` names for fitting. Each weight stays on its side of
zero: no similarity counts against a sentence and no contradiction for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.answering.verification.features import FEATURES


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear model of how well a passage supports a sentence."""

    bias: float
    of: dict[str, float]

    def margin(self, features: NDArray[np.float64]) -> float:
        """Return the logit of the sentence's support: from zero on it counts as supported."""
        return self.bias + float(features @ np.array([self.of[name] for name in FEATURES]))


WEIGHTS_SAME = Weights(
    -22.22,
    {
        "similarity": 25.94,
        "overlap": 1.94,
        "number": -5.0,
        "identifier": -1.11,
        "name": -5.0,
        "binding": -4.1,
        "denial": -5.0,
        "negation": -3.92,
        "opposite": -2.86,
        "swapped": -1.42,
        "renamed": -5.0,
    },
)
WEIGHTS_ACROSS = Weights(
    -34.42,
    {
        "similarity": 41.96,
        "overlap": 0.12,
        "number": -5.0,
        "identifier": -4.0,
        "name": -0.75,
        "binding": -4.0,
        "denial": 0.0,
        "negation": -5.0,
        "opposite": 0.0,
        "swapped": 0.0,
        "renamed": 0.0,
    },
)
