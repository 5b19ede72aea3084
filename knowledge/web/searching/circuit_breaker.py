"""A circuit breaker: a provider that keeps failing is left alone for a while, then tried. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_FAILURES: Final = 3
"""In a row, until it opens."""
FIRST_OPEN_S: Final = 30.0
"""How long it stays open at first; each trial that fails doubles it."""
MAX_OPEN_S: Final = 900.0
MAX_RETRY_AFTER_S: Final = 3_600.0
"""Of what a provider asks for itself: a quota may be renewed next month, and somebody may buy more before."""


@dataclass(slots=True)
class CircuitBreaker:
    """Closed: asked. Open: not asked. Half open, once the rest is over: one caller tries, and the others go on.

    ========== ============ ==================== ======================
    state      a success    a failure            a request to wait
    ========== ============ ==================== ======================
    closed     closed       open after the third open for what is asked
    half open  closed       open, twice as long  open for what is asked
    ========== ============ ==================== ======================
    """

    now: Callable[[], float]
    failures: int = 0
    """In a row."""
    _until: float | None = None
    _rest_s: float = FIRST_OPEN_S
    _tried: bool = False

    @property
    def open_s(self) -> float:
        """Return the seconds for which it is not asked, 0 where it may be."""
        return 0.0 if self._until is None else max(self._until - self.now(), 0.0)

    def admits(self) -> bool:
        """Say whether the caller may ask; a caller that may has to tell how it went."""
        if self._until is None:
            return True
        if self._tried or self.open_s > 0:
            return False
        self._tried = True
        return True

    def succeeded(self) -> None:
        """Close it."""
        self.failures, self._until, self._rest_s, self._tried = 0, None, FIRST_OPEN_S, False

    def failed(self) -> None:
        """Count a failure; open it after several, or where the one trial failed."""
        self.failures += 1
        if self._tried:
            self._rest_s = min(2 * self._rest_s, MAX_OPEN_S)
        if self._tried or self.failures >= MAX_FAILURES:
            self._open(self._rest_s)

    def asked_to_wait(self, seconds: float | None) -> None:
        """Open it for what the provider asks for."""
        self.failures += 1
        self._open(min(self._rest_s if seconds is None else max(seconds, 1.0), MAX_RETRY_AFTER_S))

    def abandoned(self) -> None:
        """Forget that the caller asked: it gave up for reasons of its own."""
        self._tried = False

    def _open(self, seconds: float) -> None:
        self._until, self._tried = self.now() + seconds, False
