"""Names this process as the owner of rows, and finds out whether another owner still runs."""

from __future__ import annotations

import os
import socket
import uuid

import psutil

_SAME_START_S = 2.0
"""The start time of a process comes from the clock, which somebody may set meanwhile."""


def name_this_process() -> str:
    """Return a name for the owner of rows: machine, process, its start, and a nonce."""
    pid = os.getpid()
    return f"{socket.gethostname()}|{pid}|{psutil.Process(pid).create_time():.2f}|{uuid.uuid4().hex[:8]}"


def is_dead(owner: str) -> bool:
    """Return whether the owner is a process of this machine that has ended; False for other machines."""
    host, _, rest = owner.partition("|")
    pid, _, rest = rest.partition("|")
    started = rest.partition("|")[0]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        process = psutil.Process(int(pid))
        ended = process.status() == psutil.STATUS_ZOMBIE  # ended, and its parent has not waited for it
        return ended or abs(process.create_time() - float(started)) > _SAME_START_S
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, ValueError):
        return False
