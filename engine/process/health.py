"""Pure: decide from health checks whether a running engine is well, does not respond, or hangs."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.client.wire import ServerLoad
from engine.notes import EngineNote, NoteCode
from engine.oom.state import PeakLoad


@dataclass(slots=True)
class HealthMonitor:
    """Evaluates the health checks of one run."""

    max_failed_checks: int
    """So many failed health checks in a row count as a crash."""
    token_deadline_s: float
    """Requests that run so long without any progress count as a hang."""
    peak_load: PeakLoad = field(default_factory=PeakLoad)
    failed_checks: int = 0
    _progress_marker: tuple[str, ...] | None = None
    _stalled_since_s: float | None = None

    def add_check(
        self, now_s: float, *, healthy: bool, loads: ServerLoad | None, retractions: int = 0
    ) -> EngineNote | None:
        """Add a health check; return why it counts as a crash, or None."""
        self.failed_checks = 0 if healthy else self.failed_checks + 1
        if loads is not None:
            self.peak_load = self.peak_load.add_check(loads.cache_use, loads.waiting, retractions)
        if self.failed_checks >= self.max_failed_checks:
            return NoteCode.CHECKS_FAILED.fill(checks=self.failed_checks)
        stuck_s = self._measure_stall_s(now_s, loads)
        if stuck_s >= self.token_deadline_s and loads is not None:
            return NoteCode.HANGS.fill(seconds=stuck_s, running=loads.running)
        return None

    def _measure_stall_s(self, now_s: float, loads: ServerLoad | None) -> float:
        """Return how long no request has made progress."""
        if loads is None or not loads.running or loads.progress_marker is None:
            self._progress_marker, self._stalled_since_s = None, None
            return 0.0
        if loads.progress_marker != self._progress_marker or self._stalled_since_s is None:
            self._progress_marker, self._stalled_since_s = loads.progress_marker, now_s
        return now_s - self._stalled_since_s
