"""Names this process as the owner of rows, and finds out whether another owner still runs.

A name has the host, the process, its start, a nonce, the boot of the machine, the namespace of the number, and the
start in ticks since the boot. The last three decide: two machines may have the same name, a container may see other
processes under the same numbers, and somebody may set the clock. The first three are for people and older Kvasirs.
"""

from __future__ import annotations

import functools
import os
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from knowledge.machine import read_boot_id

LAST_CALLS_S: Final = 1.0
"""How long the last calls of a dead process may still change something in Slack; before that, nobody repeats them."""
_ENDED: Final = frozenset("ZX")
"""States of a process that has ended, and whose parent has not waited for it."""


def name_this_process() -> str:
    """Return a name for the owner of rows, which no other process ever has."""
    pid = os.getpid()
    _, ticks = _read_state(pid) or ("", "")
    started = f"{psutil.Process(pid).create_time():.2f}"
    return "|".join((socket.gethostname(), str(pid), started, uuid.uuid4().hex[:8], read_process_space(), ticks))


@functools.cache
def read_process_space() -> str:
    """Return what identifies the numbers of processes: the boot of the machine, and the PID namespace.

    "" if the system does not say.
    """
    boot = read_boot_id()
    return f"{boot}|{Path('/proc/self/ns/pid').stat().st_ino}" if boot else ""


def is_visible(owner: str) -> bool:
    """Return whether the owner is or was a process whose end this one can see."""
    space = "|".join(owner.split("|")[4:6])
    return space != "" and space == read_process_space()


def is_dead(owner: str) -> bool:
    """Return whether the owner is a process that this one could see, and that has ended.

    False for other machines and containers, and for owners that an older Kvasir named: their leases decide. A machine
    may hide the ``/proc`` of a running process of Kvasir, because its memory is private. Then it counts as running.
    """
    if not is_visible(owner):
        return False
    _, pid, *_, ticks = owner.split("|")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    state = _read_state(int(pid))
    return state is not None and (state[0] in _ENDED or state[1] != ticks)


def _read_state(pid: int) -> tuple[str, str] | None:
    """Return the state of a process, and its start in ticks since the boot; None if the system does not say."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return values[0], values[19]
    except (OSError, IndexError):
        return None


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
