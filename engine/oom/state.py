"""Where the ladder stands on this machine, and what was learnt on the way: pure, but for the small file that keeps it.

A good plan is not unlearned by a restart: the file holds, for each model, machine and SGLang release, the rung and the
failures that led to it. ``forget`` takes them back to the plan's own rung.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.files import replace_private_file
from engine.oom.ladder import (
    LadderExhausted,
    MemoryProfile,
    ProfileChange,
    ProfileFailure,
    choose_lower_profile,
    describe_profile,
)
from engine.oom.log_diagnosis import OomCause, OomFinding

_MAX_KEYS = 20
_MAX_BYTES = 1 << 20
_MIN_CHECKS = 20
"""Fewer looks at the load than this say nothing."""
_MAX_PEAK_USE = 0.5
"""The most of the context that may have been in use for a rung up: a KV dtype of twice the size still fits then."""
_RETRYABLE_CAUSES = frozenset({OomCause.POOL, OomCause.CAPTURE, OomCause.PREFILL, OomCause.DECODE, OomCause.HOST})
"""Causes that a neighbour or a rare peak can have; weights that do not fit will not fit tomorrow."""


@dataclass(frozen=True, slots=True)
class RestartDecision:
    """Whether SGLang is started again after a run that ended for a known reason."""

    why: str
    restart: bool
    """Whether it is started again, at once and otherwise than before; else it is given up."""


@dataclass(frozen=True, slots=True)
class PeakLoad:
    """What was measured of a running engine since it came up."""

    checks: int = 0
    cache_use: float = 0.0
    """The most of the context that was in use, 0 to 1."""
    waiting: int = 0
    """The most requests that waited for a place."""
    retractions: int = 0

    def add_check(self, use: float, waiting: int, retractions: int) -> PeakLoad:
        """Return the load after one more look; ``retractions`` are those since the start."""
        return PeakLoad(
            self.checks + 1, max(self.cache_use, use), max(self.waiting, waiting), max(self.retractions, retractions)
        )


@dataclass(frozen=True, slots=True)
class LadderState:
    """Where the ladder stands."""

    profile: MemoryProfile | None = None
    """None: the plan's own."""
    failures: tuple[ProfileFailure, ...] = ()
    proven_profile: MemoryProfile | None = None
    """While a rung up is tried: the one that is gone back to if that fails."""


def lower_profile(
    state: LadderState, failed: MemoryProfile, found: OomFinding, lower: Sequence[MemoryProfile]
) -> tuple[LadderState, ProfileChange | LadderExhausted]:
    """Return where the ladder stands after ``failed`` (as it was run) ran out of memory, and the step there."""
    if state.proven_profile is not None:
        why = f"The rung up fails again ({found.cause}); back to {describe_profile(state.proven_profile)}"
        falls = (*state.failures[:-1], ProfileFailure(failed, found.cause, why, is_retry=True))
        return LadderState(state.proven_profile, falls), ProfileChange(state.proven_profile, why)
    step = choose_lower_profile(failed, found, state.failures, lower)
    if isinstance(step, LadderExhausted):
        return state, step
    return LadderState(step.profile, (*state.failures, ProfileFailure(failed, found.cause, step.why))), step


def raise_profile(state: LadderState, load: PeakLoad) -> tuple[LadderState, ProfileChange] | None:
    """Return the rung up that the measured load leaves room for; None where there is none, or nothing to say so.

    It is the rung that fell last, tried once more. Whoever calls it has chosen a quiet hour.
    """
    if load.checks < _MIN_CHECKS or load.cache_use > _MAX_PEAK_USE or load.waiting or load.retractions:
        return None
    state = confirm_profile(state, load)
    if not state.failures or state.failures[-1].is_retry or state.failures[-1].cause not in _RETRYABLE_CAUSES:
        return None
    if state.profile is None:
        return None
    better = state.failures[-1].profile
    use = f"At most {load.cache_use:.0%} of the KV cache was used and no request waited"
    why = f"{use}: retrying {describe_profile(better)}"
    return replace(state, profile=better, proven_profile=state.profile), ProfileChange(better, why)


def confirm_profile(state: LadderState, load: PeakLoad) -> LadderState:
    """Return where the ladder stands once a rung up that is tried was looked at often enough: it has held."""
    if state.proven_profile is None or load.checks < _MIN_CHECKS:
        return state
    return LadderState(state.profile if len(state.failures) > 1 else None, state.failures[:-1])


class LadderFile:
    """Remembers climbs by key in one JSON file; a file that cannot be read counts as empty."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is read yet."""
        self._path = path

    def read(self, key: str) -> LadderState:
        """Return what is remembered, a fresh climb where nothing is."""
        try:
            return _parse_state(self._read_all()[key])
        except (KeyError, TypeError, ValueError, AttributeError):
            return LadderState()

    def write(self, key: str, state: LadderState) -> None:
        """Remember; readers see the old or the new content, never half of one.

        Raises:
            OSError: it cannot be written.

        """
        others = [(name, value) for name, value in self._read_all().items() if name != key]
        self._write_all(dict([*others, (key, _serialize_state(state))][-_MAX_KEYS:]))

    def remove(self, key: str) -> None:
        """Go back to the plan's own rung.

        Raises:
            OSError: the file cannot be written.

        """
        kept = self._read_all()
        if kept.pop(key, None) is not None:
            self._write_all(kept)

    def _read_all(self) -> dict[str, Any]:
        try:
            if self._path.stat().st_size > _MAX_BYTES:
                return {}
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write_all(self, content: dict[str, Any]) -> None:
        replace_private_file(self._path, json.dumps(content, indent=1))


def _serialize_state(state: LadderState) -> dict[str, Any]:
    """Return the JSON of a state. Its keys are those of earlier releases, so that their files stay valid."""
    return {
        "rung": state.profile and asdict(state.profile),
        "falls": [
            {"rung": asdict(one.profile), "cause": one.cause, "why": one.why, "retried": one.is_retry}
            for one in state.failures
        ],
        "proven": state.proven_profile and asdict(state.proven_profile),
    }


def _parse_state(value: dict[str, Any]) -> LadderState:
    """Parse what ``_serialize_state`` wrote; raise for the format of another release."""
    return LadderState(
        profile=_parse_profile(value["rung"]),
        failures=tuple(
            ProfileFailure(MemoryProfile(**one["rung"]), OomCause(one["cause"]), str(one["why"]), bool(one["retried"]))
            for one in value["falls"]
        ),
        proven_profile=_parse_profile(value["proven"]),
    )


def _parse_profile(value: dict[str, Any] | None) -> MemoryProfile | None:
    return None if value is None else MemoryProfile(**value)
