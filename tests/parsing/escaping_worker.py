"""The real worker, in which a parser of plain text tries to get out: ``escaping_worker.py LAYERS PLACE PORT``.

``LAYERS`` names the parts of the kernel that there are: ``files`` (Landlock), ``calls`` (seccomp) or both. The text of
a task is the name of an attempt, and the answer says what it got.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from knowledge.interfaces import Document, Section
from knowledge.parsing import jail, worker
from knowledge.parsing.formats import markdown

LAYERS, PLACE, PORT = sys.argv[1].split("+"), Path(sys.argv[2]), int(sys.argv[3])
PARENT = os.getppid()
_UNKNOWN_CALL = 9_999
_BIT_OF_X32 = 0x40000000
_KERNEL = ctypes.CDLL(None, use_errno=True)


def read_environment() -> object:
    return Path(f"/proc/{PARENT}/environ").read_bytes()


def read_secret() -> object:
    return (PLACE / "secret").read_text()


def read_checkout() -> object:
    """Read what is next to the package, as a file ``.env`` may be."""
    return Path("pyproject.toml").resolve().read_text()


def read_memory() -> object:
    """Read the parent's memory, by its file or by the kernel."""
    try:
        return os.open(f"/proc/{PARENT}/mem", os.O_RDWR)
    except OSError:
        local = ctypes.create_string_buffer(8)
        vector = struct.pack("QQ", ctypes.addressof(local), 8)
        return call("process_vm_readv", 310, 270, PARENT, vector, 1, vector, 1, 0)


def connect_by_tcp() -> object:
    with socket.socket() as client:
        client.connect(("127.0.0.1", PORT))
    return "connected"


def send_by_udp() -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        return client.sendto(b"secret", ("127.0.0.1", PORT))


def connect_to_unix_socket() -> object:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(PLACE / "socket"))
    return "connected"


def write_to_disk() -> object:
    return (PLACE / "written").write_text("x")


def run_program() -> object:
    return os.posix_spawn("/bin/true", ["true"], {})


def signal_parent() -> object:
    os.kill(PARENT, 0)
    return "sent"


def fork() -> object:
    child = os.fork()
    if not child:
        os._exit(0)
    return child


def trace_parent() -> object:
    return call("ptrace", 101, 117, 16, PARENT, None, None)


def use_io_uring() -> object:
    return call("io_uring_setup", 425, 425, 8, ctypes.create_string_buffer(120))


def call_as_x32() -> object:
    """Open a socket by the number of another way to call this kernel."""
    return call("socket", _BIT_OF_X32 | 41, -1, 2, 1, 0)


def raise_limits() -> object:
    return call("prlimit64", 302, 261, PARENT, 7, (ctypes.c_uint64 * 2)(64, 64), None)


def change_mode() -> object:
    os.chmod(PLACE / "secret", 0o644)  # noqa: PTH101
    return "changed"


def start_thread() -> object:
    """Start one of the threads that would use up those of Kvasir's user."""
    try:
        threading.Thread(target=id, args=(1,)).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    return "started"


def wait_forever() -> object:
    """Cancel the alarm, and answer nothing."""
    signal.alarm(0)
    os.write(2, b".")
    while True:
        time.sleep(60)


def call(name: str, number: int, number_on_arm: int, *arguments: object) -> object:
    chosen = number if platform.machine() == "x86_64" else number_on_arm
    result = _KERNEL.syscall(chosen, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


ATTEMPTS: dict[str, Callable[[], object]] = {
    attempt.__name__: attempt
    for attempt in (
        read_environment, read_secret, read_checkout, read_memory, connect_by_tcp, send_by_udp, connect_to_unix_socket,
        write_to_disk, run_program, signal_parent, fork, trace_parent, use_io_uring, call_as_x32, raise_limits,
        change_mode, start_thread, wait_forever,
    )
}  # fmt: skip


def parse_text(data: bytes, document: str, media_type: str | None = None) -> Document:
    """Try to get out, instead of parsing."""
    del media_type
    try:
        result = f"got {ATTEMPTS[data.decode()]()!r}"
    except OSError as error:
        result = f"refused {error.strerror}"
    return Document(document, (Section((), result),))


if __name__ == "__main__":
    markdown.parse_text = parse_text
    if "files" not in LAYERS:
        jail._LANDLOCK_CREATE = _UNKNOWN_CALL
    if "calls" not in LAYERS:
        jail._MACHINES = {name: one._replace(seccomp=_UNKNOWN_CALL) for name, one in jail._MACHINES.items()}
    sys.argv[1:] = ["2000000000"]
    worker.main()
