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
from engine.oom.ladder import Fall, NoRungLeft, Rung, Step, described, next_rung
from engine.oom.log_diagnosis import Cause, Finding

_KEPT_KEYS = 20
_MOST_BYTES = 1 << 20
_LEAST_LOOKS = 20
"""Fewer looks at the load than this say nothing."""
_ROOM = 0.5
"""The most of the context that may have been in use for a rung up: a KV dtype of twice the size still fits then."""
_MAY_BE_RETRIED = frozenset({Cause.POOL, Cause.CAPTURE, Cause.PREFILL, Cause.DECODE, Cause.HOST})
"""Causes that a neighbour or a rare peak can have; weights that do not fit will not fit tomorrow."""


@dataclass(frozen=True, slots=True)
class RestartDecision:
    """Whether SGLang is started again after a run that ended for a known reason."""

    why: str
    again: bool
    """Whether it is started again, at once and otherwise than before; else it is given up."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured of a running engine since it came up."""

    looks: int = 0
    peak_use: float = 0.0
    """The most of the context that was in use, 0 to 1."""
    peak_waiting: int = 0
    """The most requests that waited for a place."""
    retractions: int = 0

    def after(self, use: float, waiting: int, retractions: int) -> Load:
        """Return the load after one more look; ``retractions`` are those since the start."""
        return Load(
            self.looks + 1, max(self.peak_use, use), max(self.peak_waiting, waiting), max(self.retractions, retractions)
        )


@dataclass(frozen=True, slots=True)
class Climb:
    """Where the ladder stands."""

    rung: Rung | None = None
    """None: the plan's own."""
    falls: tuple[Fall, ...] = ()
    proven: Rung | None = None
    """While a rung up is tried: the one that is gone back to if that fails."""


def down(climb: Climb, failed: Rung, found: Finding, lower: Sequence[Rung]) -> tuple[Climb, Step | NoRungLeft]:
    """Return where the ladder stands after ``failed`` (as it was run) ran out of memory, and the step there."""
    if climb.proven is not None:
        why = f"The rung up fails again ({found.cause}); back to {described(climb.proven)}"
        falls = (*climb.falls[:-1], Fall(failed, found.cause, why, retried=True))
        return Climb(climb.proven, falls), Step(climb.proven, why)
    step = next_rung(failed, found, climb.falls, lower)
    if isinstance(step, NoRungLeft):
        return climb, step
    return Climb(step.rung, (*climb.falls, Fall(failed, found.cause, step.why))), step


def up(climb: Climb, load: Load) -> tuple[Climb, Step] | None:
    """Return the rung up that the measured load leaves room for; None where there is none, or nothing to say so.

    It is the rung that fell last, tried once more. Whoever calls it has chosen a quiet hour.
    """
    if load.looks < _LEAST_LOOKS or load.peak_use > _ROOM or load.peak_waiting or load.retractions:
        return None
    climb = settled(climb, load)
    if not climb.falls or climb.falls[-1].retried or climb.falls[-1].cause not in _MAY_BE_RETRIED:
        return None
    if climb.rung is None:
        return None
    better = climb.falls[-1].rung
    why = f"At most {load.peak_use:.0%} of the context was in use and nobody waited: {described(better)} is tried again"
    return replace(climb, rung=better, proven=climb.rung), Step(better, why)


def settled(climb: Climb, load: Load) -> Climb:
    """Return where the ladder stands once a rung up that is tried was looked at often enough: it has held."""
    if climb.proven is None or load.looks < _LEAST_LOOKS:
        return climb
    return Climb(climb.rung if len(climb.falls) > 1 else None, climb.falls[:-1])


class ClimbFile:
    """Remembers climbs by key in one JSON file; a file that cannot be read counts as empty."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is read yet."""
        self._path = path

    def read(self, key: str) -> Climb:
        """Return what is remembered, a fresh climb where nothing is."""
        try:
            return _climb(self._all()[key])
        except (KeyError, TypeError, ValueError, AttributeError):
            return Climb()

    def write(self, key: str, climb: Climb) -> None:
        """Remember; readers see the old or the new content, never half of one.

        Raises:
            OSError: it cannot be written.

        """
        others = [(name, value) for name, value in self._all().items() if name != key]
        self._save(dict([*others, (key, asdict(climb))][-_KEPT_KEYS:]))

    def forget(self, key: str) -> None:
        """Go back to the plan's own rung.

        Raises:
            OSError: the file cannot be written.

        """
        kept = self._all()
        if kept.pop(key, None) is not None:
            self._save(kept)

    def _all(self) -> dict[str, Any]:
        try:
            if self._path.stat().st_size > _MOST_BYTES:
                return {}
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _save(self, content: dict[str, Any]) -> None:
        replace_private_file(self._path, json.dumps(content, indent=1))


def _climb(told: dict[str, Any]) -> Climb:
    """Read a climb back; raises for one that another release wrote otherwise."""
    return Climb(
        rung=_rung(told["rung"]),
        falls=tuple(
            Fall(Rung(**fall["rung"]), Cause(fall["cause"]), str(fall["why"]), bool(fall["retried"]))
            for fall in told["falls"]
        ),
        proven=_rung(told["proven"]),
    )


def _rung(told: dict[str, Any] | None) -> Rung | None:
    return None if told is None else Rung(**told)
