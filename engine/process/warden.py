"""A small process between Kvasir and SGLang that ends SGLang when either of them dies.

Run as a script with only the standard library: ``warden.py LOCK GRACE_S -- COMMAND…``. It starts COMMAND in its own
session. It ends COMMAND and all its children when its standard input closes, when it receives SIGTERM, or when COMMAND
ends. Standard input closes when Kvasir is gone, even by kill -9. If the warden itself is killed, the kernel kills
COMMAND. The warden holds LOCK meanwhile, so that the next engine does not load while this one still ends.
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
import tempfile
import time
from pathlib import Path

STARTED_PREFIX = "kvasir-warden: started "
"""Begins the one line that the warden itself writes, before COMMAND's output; the process group follows."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOCK_DEADLINE_S = 60.0
_TICK_S = 0.1
_NICENESS = 5
"""Loading uses all cores for minutes; answers have priority."""


def main(argv: list[str]) -> int:
    """Run the command and return its exit status, 128 + the number of a signal."""
    lock, grace_s, command = Path(argv[0]), float(argv[1]), argv[3:]
    wake = _install_signal_handlers()
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _acquire_lock(descriptor):
        sys.stdout.write("Another engine of this state directory is still shutting down.\n")
        return 75
    _set_process_option(_PR_SET_CHILD_SUBREAPER, 1)
    os.nice(_NICENESS)
    # SGLang does not remove its sockets and the files of its counters. In KVASIR_HOME a socket's path may be too long.
    with tempfile.TemporaryDirectory(prefix="kvasir-engine-", ignore_cleanup_errors=True) as scratch:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": scratch},
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # the warden has one thread
        )
        sys.stdout.write(f"{STARTED_PREFIX}{child.pid}\n")
        sys.stdout.flush()
        try:
            _wait_for_end(child, wake)
        finally:
            _terminate_group(child, grace_s)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _install_signal_handlers() -> int:
    """Let SIGTERM, SIGINT, SIGHUP and SIGCHLD wake the wait; return the descriptor that becomes readable."""
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
            if select.select([0], [], [], _TICK_S)[0]:  # Kvasir is gone
                return False
        else:
            return True
    return False


def _wait_for_end(child: subprocess.Popen[bytes], wake: int) -> None:
    """Return when the command has ended, standard input has closed, or a signal asks for the end."""
    while child.poll() is None:
        ready, _, _ = select.select([0, wake], [], [])
        if 0 in ready and not os.read(0, 4096):
            return
        if wake in ready and any(number != signal.SIGCHLD for number in os.read(wake, 64)):
            return
        _reap_orphans(child)


def _terminate_group(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Send SIGTERM to the group, then SIGKILL to it and all children until none is left."""
    _signal_group(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and (child.poll() is None or _list_children()):
        _reap_orphans(child)
        time.sleep(_TICK_S)
    while child.poll() is None or _list_children():
        _signal_group(child.pid, signal.SIGKILL)
        for pid in _list_children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap_orphans(child)
        time.sleep(_TICK_S / 5)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _reap_orphans(child: subprocess.Popen[bytes]) -> None:
    """Reap orphans, but leave the status of the command to ``child``."""
    child.poll()
    for pid in _list_children():
        if pid != child.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _list_children() -> list[int]:
    """Return the warden's child processes, orphans of the command included (Linux)."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _die_with_parent() -> None:
    _set_process_option(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _set_process_option(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
