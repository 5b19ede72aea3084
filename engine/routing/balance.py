"""Which of several servers is asked, and which is left alone for a while. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_MAX_FAILURES = 3
"""So many in a row, and a server is left alone."""
_FIRST_PAUSE_S = 2.0
_MAX_PAUSE_S = 60.0
_MAX_IMBALANCE = 0.5
"""How much fuller than the emptiest a conversation's own server may be, as a share of its places."""


class ServerCircuitBreaker:
    """Closed while a server answers; open, for growing rests, after failures in a row; half open for one trial."""

    def __init__(self) -> None:
        """Begin closed."""
        self._failures = 0
        self._pause_s = _FIRST_PAUSE_S
        self._open_until_s: float | None = None
        self._in_trial = False

    def allows_request(self, now_s: float) -> bool:
        """Tell whether a request may be sent: always while closed, one at a time once the rest is over."""
        return self._open_until_s is None or (now_s >= self._open_until_s and not self._in_trial)

    def start_request(self) -> bool:
        """Note that a request is sent; tell whether it is the trial, on which all depends."""
        trial = self._open_until_s is not None and not self._in_trial
        self._in_trial = self._in_trial or trial
        return trial

    def record_output(self) -> None:
        """Close: the server gives tokens."""
        self._open_until_s, self._in_trial = None, False

    def record_success(self) -> None:
        """Note a whole answer: the failures before it are forgotten."""
        self.record_output()
        self._failures, self._pause_s = 0, _FIRST_PAUSE_S

    def record_failure(self, now_s: float, *, hung: bool = False) -> None:
        """Note a failure; ``hung`` is one that cost a deadline, after which one is enough."""
        self._failures = _MAX_FAILURES if hung else self._failures + 1
        self._in_trial = False
        if self._failures >= _MAX_FAILURES:
            self._open_until_s = now_s + self._pause_s
            self._pause_s = min(_MAX_PAUSE_S, 2 * self._pause_s)

    def record_cancellation(self) -> None:
        """Note that a trial was cancelled by whoever asked, which says nothing of the server."""
        self._in_trial = False


def choose_server(load: Mapping[str, float], thread: str) -> str:
    """Return which server a request of this conversation goes to; ``load`` is the share of each one's places taken.

    A conversation keeps to one server by rendezvous hashing (Thaler and Ravishankar, 1998), whichever others come and
    go, and leaves it while that is full, or much fuller than the emptiest. Others go to the emptiest.
    """
    emptiest = min(load, key=lambda name: (load[name], -_compute_hash(name, thread)))
    if not thread:
        return emptiest
    home = max(load, key=lambda name: _compute_hash(name, thread))
    busy = load[home] >= 1 or load[home] - load[emptiest] > _MAX_IMBALANCE
    return emptiest if busy else home


def _compute_hash(name: str, thread: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{name}\n{thread}".encode(), digest_size=8).digest())
