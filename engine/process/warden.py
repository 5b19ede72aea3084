"""A small process between Kvasir and SGLang that leaves nothing behind, whichever of them dies and however.

Run as a script, with the standard library alone: ``warden.py LOCK GRACE_S -- COMMAND…``. It starts COMMAND in a session
of its own and ends it, with every process that came of it, as soon as its standard input closes (Kvasir is gone, by
kill -9 too), it is told to (SIGTERM), or COMMAND ends. The kernel kills COMMAND if the warden itself is killed. LOCK is
held meanwhile, so that a next engine does not load beside a dying one.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

STARTED_PREFIX = "kvasir-warden: started "
"""Begins the one line that the warden writes itself, before COMMAND's; the process group's id follows."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOCK_DEADLINE_S = 60.0
_TICK_S = 0.1
_NICENESS = 5
"""Loading takes minutes of all cores; whoever answers meanwhile goes first."""


def main(argv: list[str]) -> int:
    """Run the command and return its exit status, 128 + the signal where one ended it."""
    lock, grace_s, command = Path(argv[0]), float(argv[1]), argv[3:]
    wake = _install_signal_handlers()
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _acquire_lock(descriptor):
        sys.stdout.write("Another engine of this state directory is still shutting down.\n")
        return 75
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    os.nice(_NICENESS)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509  # the warden has one thread
    )
    sys.stdout.write(f"{STARTED_PREFIX}{child.pid}\n")
    sys.stdout.flush()
    try:
        _wait(child, wake)
    finally:
        _terminate(child, grace_s)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _install_signal_handlers() -> int:
    """Let SIGTERM, SIGINT, SIGHUP and a child's end wake the wait, and return the descriptor that then reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reader


def _acquire_lock(descriptor: int) -> bool:
    deadline = time.monotonic() + _LOCK_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if select.select([0], [], [], _TICK_S)[0]:  # Kvasir is gone meanwhile
                return False
        else:
            return True
    return False


def _wait(child: subprocess.Popen[bytes], wake: int) -> None:
    """Return when the command has ended, standard input has closed, or a signal asks for the end."""
    while child.poll() is None:
        ready, _, _ = select.select([0, wake], [], [])
        if 0 in ready and not os.read(0, 4096):
            return
        if wake in ready and any(number != signal.SIGCHLD for number in os.read(wake, 64)):
            return
        _reap(child)


def _terminate(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the whole group to end, then kill it and whatever else came of it until nothing is left."""
    _signal_group(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and (child.poll() is None or _list_children()):
        _reap(child)
        time.sleep(_TICK_S)
    while child.poll() is None or _list_children():
        _signal_group(child.pid, signal.SIGKILL)
        for pid in _list_children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap(child)
        time.sleep(_TICK_S / 5)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _reap(child: subprocess.Popen[bytes]) -> None:
    """Collect orphans that became ours, but leave the command's own status to ``child``."""
    child.poll()
    for pid in _list_children():
        if pid != child.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _list_children() -> list[int]:
    """Return the processes whose parent is the warden; orphans of the command are among them (Linux)."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
