"""How the served model's yes becomes a probability: known models' parameters, and the fit for others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Calibration:
    """What Platt's scaling makes of a model's logit of yes, and how much the features count beside it."""

    slope: float
    intercept: float
    features_weight: float

    def probability(self, logit: float) -> float:
        """Return the probability that a claim with this logit of yes is stated."""
        return 1 / (1 + math.exp(-(self.slope * logit + self.intercept)))


Calibrate = Callable[[str | None], Calibration | None]
"""Returns the calibration of a served model by its name; None for one that is no judge or was not measured."""

KNOWN: Final[dict[str, Calibration | None]] = {}
"""By the name that is served; None for a model that was measured and is no judge."""
