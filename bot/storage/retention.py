"""Decides how old each kind of data may become. Pure: others delete what is older than a cut-off."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Final

PURGE_EVERY_S: Final = 3_600.0
"""How often old data is deleted, so it is kept at most this much longer than configured."""
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds for which each kind of data is kept; infinity stands for ever."""

    turns_s: float = 30 * _DAY_S
    """Closed questions, and answers with their documents and shares."""
    threads_s: float = 365 * _DAY_S
    feedback_s: float = 30 * _DAY_S
    verified_s: float = math.inf
    web_cache_s: float = 30 * _DAY_S
    audit_s: float = math.inf
    uploads_s: float = math.inf
    cases_s: float = 5 * 365 * _DAY_S


@dataclass(frozen=True, slots=True)
class CutOffs:
    """The times before which each kind of data is deleted, in seconds since the epoch."""

    turns: float
    threads: float
    feedback: float
    verified: float
    web_cache: float
    audit: float
    uploads: float
    cases: float


def find_cut_offs(retention: Retention, now: float) -> CutOffs:
    """Return the cut-offs of a moment; minus infinity where nothing is ever deleted."""
    return CutOffs(*(now - kept_s for kept_s in astuple(retention)))
