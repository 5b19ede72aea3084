"""Pure: choose one of several servers, and pause servers that fail."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_MAX_FAILURES = 3
"""Failures in a row that open the circuit."""
_FIRST_PAUSE_S = 2.0
_MAX_PAUSE_S = 60.0
_MAX_IMBALANCE = 0.5
"""How much more load than the least loaded a conversation's server may have, as a share of places."""


class ServerCircuitBreaker:
    """A circuit breaker: closed while a server answers, open for growing pauses after failures, then half open."""

    def __init__(self) -> None:
        """Start closed."""
        self._failures = 0
        self._pause_s = _FIRST_PAUSE_S
        self._open_until_s: float | None = None
        self._in_trial = False

    def allows_request(self, now_s: float) -> bool:
        """Return whether a request may be sent: always while closed, one at a time after the pause."""
        return self._open_until_s is None or (now_s >= self._open_until_s and not self._in_trial)

    def start_request(self) -> bool:
        """Record the start of a request; return whether it is the trial."""
        trial = self._open_until_s is not None and not self._in_trial
        self._in_trial = self._in_trial or trial
        return trial

    def record_output(self) -> None:
        """Close the circuit: the server sends output."""
        self._open_until_s, self._in_trial = None, False

    def record_success(self) -> None:
        """Record a complete answer and reset the failures."""
        self.record_output()
        self._failures, self._pause_s = 0, _FIRST_PAUSE_S

    def record_failure(self, now_s: float, *, hung: bool = False) -> None:
        """Record a failure; a timeout (``hung``) opens the circuit at once."""
        self._failures = _MAX_FAILURES if hung else self._failures + 1
        self._in_trial = False
        if self._failures >= _MAX_FAILURES:
            self._open_until_s = now_s + self._pause_s
            self._pause_s = min(_MAX_PAUSE_S, 2 * self._pause_s)

    def record_cancellation(self) -> None:
        """Record that the trial was cancelled, which says nothing about the server."""
        self._in_trial = False


def choose_server(load: Mapping[str, float], thread: str) -> str:
    """Return the server for a request of a conversation; ``load`` is the share of each server's places in use.

    A conversation stays on one server by rendezvous hashing (Thaler and Ravishankar, 1998), also when other servers
    come and go. It leaves a server that is full, or much more loaded than the least loaded. Other requests go to the
    least loaded server.
    """
    least_loaded = min(load, key=lambda name: (load[name], -_compute_hash(name, thread)))
    if not thread:
        return least_loaded
    home = max(load, key=lambda name: _compute_hash(name, thread))
    busy = load[home] >= 1 or load[home] - load[least_loaded] > _MAX_IMBALANCE
    return least_loaded if busy else home


def _compute_hash(name: str, thread: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{name}\n{thread}".encode(), digest_size=8).digest())
