"""The state of the memory ladder on this machine, and the file that keeps it over restarts.

The file has, for each model, machine and SGLang release, the current profile and the failures that led to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from engine.files import replace_private_file
from engine.notes import EngineNote, NoteCode
from engine.oom.ladder import (
    MemoryProfile,
    ProfileChange,
    ProfileFailure,
    choose_lower_profile,
    describe_profile,
    explain_change,
)
from engine.oom.log_diagnosis import OomCause, OomFinding

_MAX_KEYS = 20
_MAX_BYTES = 1 << 20
_MIN_CHECKS = 20
"""Fewer checks of the load than this say nothing."""
_MAX_PEAK_USE = 0.5
"""The highest KV cache use that allows a larger profile: a KV dtype of twice the size still fits."""
_RETRYABLE_CAUSES = frozenset({OomCause.POOL, OomCause.CAPTURE, OomCause.PREFILL, OomCause.DECODE, OomCause.HOST})
"""Causes that another program or a rare peak can have. Weights that do not fit today will not fit tomorrow."""


@dataclass(frozen=True, slots=True)
class RestartDecision:
    """Whether to restart SGLang after a run that ended for a known reason."""

    why: EngineNote
    restart: bool
    """True: restart at once with another plan. False: give up."""


@dataclass(frozen=True, slots=True)
class PeakLoad:
    """The peak load of a running engine since its start."""

    checks: int = 0
    cache_use: float = 0.0
    waiting: int = 0
    retractions: int = 0

    def add_check(self, use: float, waiting: int, retractions: int) -> PeakLoad:
        """Return the load after one more check; ``retractions`` counts since the start."""
        return PeakLoad(
            self.checks + 1, max(self.cache_use, use), max(self.waiting, waiting), max(self.retractions, retractions)
        )


@dataclass(frozen=True, slots=True)
class LadderState:
    """The state of a memory ladder."""

    profile: Annotated[MemoryProfile | None, Field(alias="rung")] = None
    """The current profile; None for the plan's own."""
    failures: Annotated[tuple[ProfileFailure, ...], Field(alias="falls")] = ()
    proven_profile: Annotated[MemoryProfile | None, Field(alias="proven")] = None
    """The profile to go back to if the larger one that is being tried fails."""


_STATE = TypeAdapter(LadderState)
"""Reads and writes the state as JSON. Its keys are those of earlier releases, so that their files stay valid."""


def lower_profile(
    state: LadderState, failed: MemoryProfile, found: OomFinding, lower: Sequence[MemoryProfile]
) -> tuple[LadderState, ProfileChange]:
    """Return the state after ``failed`` (a complete profile) ran out of memory, and the change."""
    if state.proven_profile is not None:
        failure = ProfileFailure(failed, found.cause, is_retry=True)
        why = explain_change(failure, state.proven_profile)
        failures = (*state.failures[:-1], replace(failure, why=str(why)))
        return LadderState(state.proven_profile, failures), ProfileChange(state.proven_profile, why)
    step = choose_lower_profile(failed, found, state.failures, lower)
    if step.profile is None:
        return state, step
    return LadderState(step.profile, (*state.failures, ProfileFailure(failed, found.cause, str(step.why)))), step


def raise_profile(state: LadderState, load: PeakLoad) -> tuple[LadderState, ProfileChange] | None:
    """Return the state with the larger profile that the load allows, and the change; None if there is none.

    It is the profile that failed last, retried once. Call this at a quiet hour.
    """
    if load.checks < _MIN_CHECKS or load.cache_use > _MAX_PEAK_USE or load.waiting or load.retractions:
        return None
    state = confirm_profile(state, load)
    if state.profile is None or not state.failures:
        return None
    if state.failures[-1].is_retry or state.failures[-1].cause not in _RETRYABLE_CAUSES:
        return None
    better = state.failures[-1].profile
    why = NoteCode.RETRYING_LARGER.fill(cache_use=load.cache_use, profile=describe_profile(better))
    return replace(state, profile=better, proven_profile=state.profile), ProfileChange(better, why)


def confirm_profile(state: LadderState, load: PeakLoad) -> LadderState:
    """Return the state after enough checks of a larger profile: it works."""
    if state.proven_profile is None or load.checks < _MIN_CHECKS:
        return state
    return LadderState(state.profile if len(state.failures) > 1 else None, state.failures[:-1])


class LadderFile:
    """Keeps ladder states by key in one JSON file; an unreadable file counts as empty."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path

    def read_state(self, key: str) -> LadderState:
        """Return the saved state, or a new one."""
        try:
            return _STATE.validate_python(self._read_all()[key])
        except (KeyError, ValueError):
            return LadderState()

    def write_state(self, key: str, state: LadderState) -> None:
        """Save a state; a new one needs no entry. Readers see the old or the new content.

        Raises:
            OSError: the file cannot be written.

        """
        states = self._read_all()
        states.pop(key, None)
        if state != LadderState():
            states[key] = _STATE.dump_python(state, mode="json", by_alias=True)
        replace_private_file(self._path, json.dumps(dict(list(states.items())[-_MAX_KEYS:]), indent=1))

    def _read_all(self) -> dict[str, Any]:
        try:
            if self._path.stat().st_size > _MAX_BYTES:
                return {}
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
