"""Names this process as the owner of rows, and finds out whether another owner still runs."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from typing import Final

import psutil

LAST_CALLS_S: Final = 1.0
"""How long the last calls of a dead process may still change something in Slack; before that, nobody repeats them."""
_SAME_START_S = 2.0
"""The start time of a process comes from the clock, which somebody may set meanwhile."""


def name_this_process() -> str:
    """Return a name for the owner of rows: machine, process, its start, and a nonce."""
    pid = os.getpid()
    return f"{socket.gethostname()}|{pid}|{psutil.Process(pid).create_time():.2f}|{uuid.uuid4().hex[:8]}"


def is_dead(owner: str) -> bool:
    """Return whether the owner is a process of this machine that has ended; False for other machines.

    A machine may hide the ``/proc`` of a running process of Kvasir, because its memory is private. Then it counts as
    running.
    """
    host, _, rest = owner.partition("|")
    pid, _, rest = rest.partition("|")
    started = rest.partition("|")[0]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    try:
        process = psutil.Process(int(pid))
        ended = process.status() == psutil.STATUS_ZOMBIE  # ended, and its parent has not waited for it
        return ended or abs(process.create_time() - float(started)) > _SAME_START_S
    except (psutil.Error, ValueError):
        return False


class OwnerWatch:
    """Decides whether the owners of rows have abandoned them. ``now`` returns the time in seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._dead_since: dict[str, float] = {}

    def has_abandoned(self, owner: str, lease_until: float) -> bool:
        """Return whether a lease has expired, or a dead process of this machine makes no call to Slack any more."""
        now = self._now()
        if lease_until < now:
            return True
        return is_dead(owner) and now - self._dead_since.setdefault(owner, now) >= LAST_CALLS_S
