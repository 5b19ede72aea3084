"""A circuit breaker: Kvasir pauses calls to a provider that keeps failing, then tries one. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_FAILURES: Final = 3
"""Failures in a row that open the breaker."""
FIRST_OPEN_S: Final = 30.0
"""How long it stays open at first; each failed trial doubles it."""
MAX_OPEN_S: Final = 900.0
MAX_RETRY_AFTER_S: Final = 3_600.0
"""The longest accepted ``Retry-After``: a quota may last until next month, but somebody may buy more before."""


@dataclass(slots=True)
class CircuitBreaker:
    """Closed: calls pass. Open: no calls. Half open, when the time is over: one caller tries, others do not call.

    ========== ============ ===================== =====================
    state      a success    a failure             a Retry-After
    ========== ============ ===================== =====================
    closed     closed       open after the third  open for that time
    half open  closed       open, twice as long   open for that time
    ========== ============ ===================== =====================
    """

    now: Callable[[], float]
    failures: int = 0
    _open_until: float | None = None
    _open_s: float = FIRST_OPEN_S
    _on_trial: bool = False

    @property
    def remaining_open_s(self) -> float:
        """Return the seconds until a call may be tried; 0 if it may be tried now."""
        return 0.0 if self._open_until is None else max(self._open_until - self.now(), 0.0)

    def acquire(self) -> bool:
        """Return whether the caller may call the provider; it must then record the outcome."""
        if self._open_until is None:
            return True
        if self._on_trial or self.remaining_open_s > 0:
            return False
        self._on_trial = True
        return True

    def record_success(self) -> None:
        """Close the breaker."""
        self.failures, self._open_until, self._open_s, self._on_trial = 0, None, FIRST_OPEN_S, False

    def record_failure(self) -> None:
        """Count a failure; open after several, or after a failed trial."""
        self.failures += 1
        if self._on_trial:
            self._open_s = min(2 * self._open_s, MAX_OPEN_S)
        if self._on_trial or self.failures >= MAX_FAILURES:
            self._open_for(self._open_s)

    def record_retry_after(self, seconds: float | None) -> None:
        """Open for the time that the provider asks for; None if it states none."""
        self.failures += 1
        self._open_for(min(self._open_s if seconds is None else max(seconds, 1.0), MAX_RETRY_AFTER_S))

    def release(self) -> None:
        """Record no outcome, because the caller gave up for reasons of its own."""
        self._on_trial = False

    def _open_for(self, seconds: float) -> None:
        self._open_until, self._on_trial = self.now() + seconds, False
