"""One sync at a time for each state directory, across processes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from knowledge.errors import KnowledgeError, SyncRunning


@contextlib.contextmanager
def hold_sync_lock(path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[None]:
    """Hold the lock file; the kernel gives it up when this process dies, however it dies.

    Raises:
        SyncRunning: another sync holds it, in this process or in another; the text says which and since when.
        KnowledgeError: the file cannot be made.

    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KnowledgeError(
            f"The lock file {path} cannot be made: {error.strerror}. Give Kvasir the right to write its KVASIR_HOME."
        ) from error
    try:
        _take_lock(descriptor)
        _write_holder(descriptor, now())
        yield
        _write_holder(descriptor, None)
    finally:
        os.close(descriptor)


def find_lock_holder(path: Path) -> str | None:
    """Return which other process syncs (``process 12, since 02:30:00 UTC``), None when none does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        signed = _read_holder(descriptor)
        # Looked at only where another process has signed: the look itself holds the lock for a moment.
        if not signed or signed.startswith(f" (process {os.getpid()},"):
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return signed.strip(" ()")
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SyncRunning(f"A sync is running already{_read_holder(descriptor)}. Wait until it has ended.") from None


def _write_holder(descriptor: int, since: datetime | None) -> None:
    """Say who holds the lock, or that nobody does; a disk that is full costs the signature, not the sync."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        if since is not None:
            signature = {"pid": os.getpid(), "since": since.isoformat()}
            os.pwrite(descriptor, json.dumps(signature).encode(), 0)


def _read_holder(descriptor: int) -> str:
    try:
        signed = json.loads(os.pread(descriptor, 200, 0))
        return f" (process {int(signed['pid'])}, since {datetime.fromisoformat(signed['since']):%H:%M:%S} UTC)"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
