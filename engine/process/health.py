"""Pure: from looks at a running engine, whether it is well, silent, or hangs with requests in its hands."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.client.wire import Loads
from engine.oom.state import Load


@dataclass(slots=True)
class Watchman:
    """Remembers the looks of one run."""

    silent_looks: int
    """So many failed looks at its health in a row, and it counts as crashed."""
    token_deadline_s: float
    """Requests under way for so long without a token read or written, and it hangs."""
    load: Load = field(default_factory=Load)
    silent: int = 0
    _done: tuple[str, ...] | None = None
    _since_s: float | None = None

    def look(self, now_s: float, *, healthy: bool, loads: Loads | None, retractions: int = 0) -> str | None:
        """Take in one look; return why it counts as crashed, None while it does not."""
        self.silent = 0 if healthy else self.silent + 1
        if loads is not None:
            self.load = self.load.after(loads.use, loads.waiting, retractions)
        if self.silent >= self.silent_looks:
            return f"it gave no sign of life {self.silent} times in a row"
        stuck_s = self._stuck_s(now_s, loads)
        if stuck_s >= self.token_deadline_s and loads is not None:
            return f"it gave no token for {stuck_s:.0f} s with {loads.running} requests under way"
        return None

    def _stuck_s(self, now_s: float, loads: Loads | None) -> float:
        """Return for how long nothing was done though there was something to do."""
        if loads is None or not loads.running or loads.done is None:
            self._done, self._since_s = None, None
            return 0.0
        if loads.done != self._done or self._since_s is None:
            self._done, self._since_s = loads.done, now_s
        return now_s - self._since_s
