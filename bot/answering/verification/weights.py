"""The fitted weights: what ``scripts/eval_verification.py --fit --most 500`` prints.

Fitted on the public sets that ``scripts/verification/sets.py`` names for fitting. Each weight stays on its side of
zero: no similarity counts against a sentence and no contradiction for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bot.answering.verification.features import FEATURES
from bot.answering.verification.matching import SimilarityScale
from knowledge.errors import EmbedderUncalibrated


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear model of how well a passage supports a sentence."""

    bias: float
    of: dict[str, float]

    def compute_margin(self, features: NDArray[np.float64]) -> float:
        """Return the logit of the sentence's support: from zero on it counts as supported."""
        return self.bias + float(features @ np.array([self.of[name] for name in FEATURES]))


@dataclass(frozen=True, slots=True)
class VerifierWeights:
    """What was fitted with one embedder."""

    scale: SimilarityScale
    same: Weights
    """For a sentence and a passage in one language."""
    across: Weights


WEIGHTS: Final[Mapping[str, VerifierWeights]] = {
    "multilingual-e5-small:1571fc982750:int8:6.1": VerifierWeights(
        scale=SimilarityScale(similar=0.90, similar_across=0.86, unlike=0.80),
        same=Weights(
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
        ),
        across=Weights(
            -34.42,
            {
                "similarity": 41.96,
                "overlap": 0.12,
                "number": -5.0,
                "identifier": -4.0,
                "name": -0.75,
                "binding": 0.0,
                "denial": 0.0,
                "negation": -5.0,
                "opposite": 0.0,
                "swapped": 0.0,
                "renamed": 0.0,
            },
        ),
    ),
}
"""By ``Embedder.identity``: the cosines of two embedders do not compare."""


def find_weights(identity: str) -> VerifierWeights:
    """Return what was fitted with an embedder.

    Raises:
        EmbedderUncalibrated: nothing was.

    """
    if identity not in WEIGHTS:
        raise EmbedderUncalibrated(
            f"The verifier is not calibrated for the embedder {identity}. Fit it with scripts/eval_verification.py "
            f"--fit and add it to bot/answering/verification/weights.py, or use one of these: {', '.join(WEIGHTS)}."
        )
    return WEIGHTS[identity]
