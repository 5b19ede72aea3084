"""Pure: from looks at a running engine, whether it is well, silent, or hangs with requests in its hands."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.client.wire import ServerLoad
from engine.oom.state import PeakLoad


@dataclass(slots=True)
class HealthMonitor:
    """Remembers the looks of one run."""

    max_failed_checks: int
    """So many failed looks at its health in a row, and it counts as crashed."""
    token_deadline_s: float
    """Requests under way for so long without a token read or written, and it hangs."""
    peak_load: PeakLoad = field(default_factory=PeakLoad)
    failed_checks: int = 0
    _progress_marker: tuple[str, ...] | None = None
    _stalled_since_s: float | None = None

    def add_check(self, now_s: float, *, healthy: bool, loads: ServerLoad | None, retractions: int = 0) -> str | None:
        """Take in one look; return why it counts as crashed, None while it does not."""
        self.failed_checks = 0 if healthy else self.failed_checks + 1
        if loads is not None:
            self.peak_load = self.peak_load.add_check(loads.cache_use, loads.waiting, retractions)
        if self.failed_checks >= self.max_failed_checks:
            return f"it gave no sign of life {self.failed_checks} times in a row"
        stuck_s = self._measure_stall_s(now_s, loads)
        if stuck_s >= self.token_deadline_s and loads is not None:
            return f"it gave no token for {stuck_s:.0f} s with {loads.running} requests under way"
        return None

    def _measure_stall_s(self, now_s: float, loads: ServerLoad | None) -> float:
        """Return for how long nothing was done though there was something to do."""
        if loads is None or not loads.running or loads.progress_marker is None:
            self._progress_marker, self._stalled_since_s = None, None
            return 0.0
        if loads.progress_marker != self._progress_marker or self._stalled_since_s is None:
            self._progress_marker, self._stalled_since_s = loads.progress_marker, now_s
        return now_s - self._stalled_since_s
