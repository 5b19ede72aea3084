"""Allow one sync at a time for each state directory, across processes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from knowledge.errors import KnowledgeError, SyncRunning


@contextlib.contextmanager
def hold_sync_lock(path: Path) -> Iterator[None]:
    """Hold the lock file for the length of a block. The kernel releases it when this process ends.

    Raises:
        SyncRunning: another sync holds it, in this process or in another; the text says which and since when.
        KnowledgeError: the file cannot be created.

    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KnowledgeError(
            f"The lock file {path} cannot be created: {error.strerror}. Give Kvasir write access to its KVASIR_HOME."
        ) from error
    try:
        _take_lock(descriptor)
        _write_holder(descriptor, datetime.now(UTC))
        yield
        _write_holder(descriptor, None)
    finally:
        os.close(descriptor)


def find_lock_holder(path: Path) -> str | None:
    """Return the other process that syncs (``process 12, since 02:30:00 UTC``), or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        signed = _read_holder(descriptor)
        # Try the lock only if another process signed the file, because trying takes the lock for a moment.
        if not signed or signed.startswith(f"process {os.getpid()},"):
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return signed
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
        raise SyncRunning(process=_read_holder(descriptor)) from None


def _write_holder(descriptor: int, since: datetime | None) -> None:
    """Write who holds the lock, or clear it. A full disk costs the signature, not the sync."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        if since is not None:
            signature = {"pid": os.getpid(), "since": since.isoformat()}
            os.pwrite(descriptor, json.dumps(signature).encode(), 0)


def _read_holder(descriptor: int) -> str:
    try:
        signed = json.loads(os.pread(descriptor, 200, 0))
        return f"process {int(signed['pid'])}, since {datetime.fromisoformat(signed['since']):%H:%M:%S} UTC"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
