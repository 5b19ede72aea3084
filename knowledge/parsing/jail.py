"""Lock this process in, for good: it may compute, read Python's own files, and use the pipe that it has.

A hostile document may take over the parsing process. Two parts of Linux then keep it from everything else. Landlock
refuses files, and signals to other processes. seccomp refuses each system call that is not in a short list; so there
are no sockets, no programs, no threads, and no calls of newer kernels, of other architectures or of x32. A system that
lacks a part still parses, and ``enter_jail`` says what is missing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mimetypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import knowledge

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_READ_ANY_FILE: Final = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH

_LANDLOCK_CREATE, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION = _LANDLOCK_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_ALL_FILES: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""The rights to files that Landlock knows, from a version on: later ones cover moves, truncation and devices."""
_ALL_TCP = _ALL_SCOPES = 3
_TCP_FROM, _SCOPES_FROM = 4, 6
"""The versions that cover TCP, and the scopes: abstract unix sockets and signals."""

_SYSTEM_FILES: Final = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf",
    "/etc/localtime", "/usr/share/zoneinfo",
)  # fmt: skip
"""What native libraries read when they are loaded, and time zones."""

_SET_FILTER = _IN_ALL_THREADS = 1
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


class _Machine(NamedTuple):
    """The numbers of a processor's system calls. Those of ``harmless`` may have any arguments."""

    audit: int
    seccomp: int
    capget: int
    capset: int
    harmless: Sequence[int]
    fcntl: int
    ioctl: int
    openat: int
    prctl: int
    prlimit64: int
    tgkill: int
    open: int | None = None


# Memory, locks, clocks, own signals, pipes, and reading files. Each line has the calls in the order of their numbers.
_MACHINES: Final = {
    "x86_64": _Machine(
        audit=0xC000003E, seccomp=317, capget=125, capset=126, fcntl=72, ioctl=16, openat=257, prctl=157,
        prlimit64=302, tgkill=234, open=2,
        harmless=(
            0, 1, 3, 4, 5, 6, 7, 8,  # read, write, close, stat, fstat, lstat, poll, lseek
            9, 10, 11, 12, 13, 14, 15,  # mmap, mprotect, munmap, brk, rt_sigaction, rt_sigprocmask, rt_sigreturn
            17, 19, 20, 21, 23, 24, 25,  # pread64, readv, writev, access, select, sched_yield, mremap
            27, 28, 32, 33, 35, 36, 37, 38,  # mincore, madvise, dup, dup2, nanosleep, getitimer, alarm, setitimer
            39, 60, 63, 79, 89, 95, 96, 97,  # getpid, exit, uname, getcwd, readlink, umask, gettimeofday, getrlimit
            98, 99, 100, 102, 104, 107, 108,  # getrusage, sysinfo, times, getuid, getgid, geteuid, getegid
            110, 131, 137, 138, 143, 145,  # getppid, sigaltstack, statfs, fstatfs, sched_getparam, sched_getscheduler
            146, 147, 158, 186, 201, 202,  # sched_get_priority_max, …_min, arch_prctl, gettid, time, futex
            204, 217, 218, 219, 221,  # sched_getaffinity, getdents64, set_tid_address, restart_syscall, fadvise64
            228, 229, 230, 231, 262, 267,  # clock_gettime, …_getres, …_nanosleep, exit_group, newfstatat, readlinkat
            269, 270, 271, 273, 274, 292,  # faccessat, pselect6, ppoll, set_robust_list, get_robust_list, dup3
            309, 318, 324, 332, 334, 439,  # getcpu, getrandom, membarrier, statx, rseq, faccessat2
        ),
    ),
    "aarch64": _Machine(
        audit=0xC00000B7, seccomp=277, capget=90, capset=91, fcntl=25, ioctl=29, openat=56, prctl=167,
        prlimit64=261, tgkill=131,
        harmless=(
            17, 23, 24, 43, 44, 48, 57, 61,  # getcwd, dup, dup3, statfs, fstatfs, faccessat, close, getdents64
            62, 63, 64, 65, 66, 67, 72, 73,  # lseek, read, write, readv, writev, pread64, pselect6, ppoll
            78, 79, 80, 93, 94, 96, 98,  # readlinkat, newfstatat, fstat, exit, exit_group, set_tid_address, futex
            99, 100, 101, 102, 103,  # set_robust_list, get_robust_list, nanosleep, getitimer, setitimer
            113, 114, 115, 120, 121,  # clock_gettime, clock_getres, clock_nanosleep, sched_getscheduler, …_getparam
            123, 124, 125, 126, 128,  # sched_getaffinity, sched_yield, sched_get_priority_max, …_min, restart_syscall
            132, 134, 135, 139, 153, 160,  # sigaltstack, rt_sigaction, rt_sigprocmask, rt_sigreturn, times, uname
            163, 165, 166, 168, 169, 172,  # getrlimit, getrusage, umask, getcpu, gettimeofday, getpid
            173, 174, 175, 176, 177, 178,  # getppid, getuid, geteuid, getgid, getegid, gettid
            179, 214, 215, 216, 222, 223,  # sysinfo, brk, munmap, mremap, mmap, fadvise64
            226, 232, 233, 278, 283, 291,  # mprotect, mincore, madvise, getrandom, membarrier, statx
            293, 439,  # rseq, faccessat2
        ),
    ),
}  # fmt: skip

_EVERY_BIT: Final = 0xFFFFFFFF
_WRITES: Final = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000  # of ``open``: write, create, truncate, append
_FCNTL_COMMANDS: Final = (0, 1, 2, 3, 4, 1030)  # Duplicate a descriptor, read and set its flags. Others send signals.
_NAME_THREAD, _READ_THREAD_NAME, _READ_TERMINAL = 15, 16, 0x5401


class _Condition(NamedTuple):
    """A 32-bit word of a call's arguments, of which the masked bits must have one of the values."""

    word: int
    mask: int
    values: Sequence[int]


def enter_jail() -> list[str]:
    """Lock this process in, and return what this system lacks for it, as phrases; none if everything holds.

    Call it while there is one thread: Landlock holds for the calling thread and those that it starts.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return [f"{platform.system()} on {platform.machine()} has no Landlock and no seccomp that Kvasir knows"]
    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    kernel.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # The memory has a document, and a core dump may go to a program.
    with contextlib.suppress(OSError):
        _drop_capabilities(kernel, machine)
    gaps = []
    try:
        restrict_files(kernel)
    except OSError as error:
        gaps.append(f"no Landlock ({error.strerror}): code in the parser could read files of Kvasir's user")
    try:
        restrict_calls(kernel, machine)
    except OSError as error:
        gaps.append(f"no seccomp ({error.strerror}): code in the parser could send UDP, and call all of the kernel")
    return gaps


def _call(kernel: ctypes.CDLL, number: int, *arguments: object) -> int:
    """Make a system call.

    Raises:
        OSError: the kernel refuses it.

    """
    result: int = kernel.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _drop_capabilities(kernel: ctypes.CDLL, machine: _Machine) -> None:
    """Give up what the superuser may do, except to read files of others: Python may be installed in such files."""
    header = struct.pack("Ii", 0x20080522, 0)
    found = ctypes.create_string_buffer(24)
    _call(kernel, machine.capget, header, found)
    kept = struct.unpack_from("I", found, 4)[0] & _READ_ANY_FILE
    _call(kernel, machine.capset, header, struct.pack("6I", kept, kept, 0, 0, 0, 0))


def restrict_files(kernel: ctypes.CDLL) -> None:
    """Let Landlock refuse all files but those that libraries read, TCP, and signals to other processes.

    Raises:
        OSError: the kernel has no Landlock, or it is disabled.

    """
    version = _call(kernel, _LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION)
    every = max(rights for since, rights in _ALL_FILES.items() if since <= version)
    rules = [every, *([_ALL_TCP] if version >= _TCP_FROM else []), *([_ALL_SCOPES] if version >= _SCOPES_FROM else [])]
    packed = struct.pack(f"{len(rules)}Q", *rules)
    ruleset = _call(kernel, _LANDLOCK_CREATE, packed, len(packed), 0)
    for path in find_readable_paths():
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
        _call(kernel, _LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
        os.close(descriptor)
    _call(kernel, _LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def find_readable_paths() -> list[Path]:
    """Return what formats need: Python's modules, native libraries, types of files and time zones.

    A checkout has settings and secrets next to this package, so that only the package itself is readable there.
    """
    package = Path(knowledge.__file__).resolve().parent
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    found = map(Path, (*sys.path, *libraries, *_SYSTEM_FILES, *mimetypes.knownfiles))
    others = [
        path
        for path in found
        if path.name in {"site-packages", "dist-packages"} or not package.is_relative_to(path.resolve())
    ]
    paths = [package, Path(os.__file__).parent, *others]
    return [path for path in paths if path.is_absolute() and os.access(path, os.R_OK)]


def restrict_calls(kernel: ctypes.CDLL, machine: _Machine) -> None:
    """Let seccomp refuse all system calls but those of the list.

    Raises:
        OSError: the kernel has no seccomp filters.

    """
    program = b"".join(struct.pack("HBBI", *step) for step in _build_filter(machine, os.getpid()))
    code = ctypes.create_string_buffer(program)
    described = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    _call(kernel, machine.seccomp, _SET_FILTER, _IN_ALL_THREADS, described)


def _build_filter(machine: _Machine, own_pid: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the filter's steps: an operation, how many steps to skip if it is true or false, and its operand."""
    conditions: dict[int | None, Sequence[_Condition]] = {
        machine.fcntl: (_Condition(2, _EVERY_BIT, _FCNTL_COMMANDS),),
        machine.ioctl: (_Condition(2, _EVERY_BIT, (_READ_TERMINAL,)),),
        machine.open: (_Condition(2, _WRITES, (0,)),),
        machine.openat: (_Condition(4, _WRITES, (0,)),),
        machine.prctl: (_Condition(0, _EVERY_BIT, (_NAME_THREAD, _READ_THREAD_NAME)),),
        machine.prlimit64: [_Condition(word, _EVERY_BIT, (0,)) for word in (0, 4, 5)],  # only read its own
        machine.tgkill: (_Condition(0, _EVERY_BIT, (own_pid,)),),
    }
    yield _LOAD, 0, 0, _ARCHITECTURE_AT
    yield _EQUAL, 1, 0, machine.audit
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER_AT
    for number in machine.harmless:
        yield _EQUAL, 0, 1, number
        yield _RETURN, 0, 0, _ALLOW
    for conditional, checks in conditions.items():
        if conditional is not None:
            steps = [step for check in checks for step in _build_check(check)]
            yield _EQUAL, 0, len(steps) + 1, conditional
            yield from steps
            yield _RETURN, 0, 0, _ALLOW
    yield _RETURN, 0, 0, _REFUSE | errno.ENOSYS


def _build_check(check: _Condition) -> Iterator[tuple[int, int, int, int]]:
    """Yield steps that refuse the call, or go on after the last one."""
    yield _LOAD, 0, 0, _ARGUMENTS_AT + 4 * check.word
    yield _AND, 0, 0, check.mask
    for left, value in zip(range(len(check.values), 0, -1), check.values, strict=True):
        yield _EQUAL, left, 0, value
    yield _RETURN, 0, 0, _REFUSE | errno.EACCES
