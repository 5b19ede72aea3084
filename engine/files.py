"""Files that several processes share: private files that are replaced whole, and lock files."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

_LOCK_POLL_S = 0.2


def replace_private_file(path: Path, content: str | bytes) -> None:
    """Write a file that only this user can read. Readers see the old or the new content, never a part of it.

    Raises:
        OSError: it cannot be written; the old content stays.

    """
    descriptor, name = tempfile.mkstemp(prefix=".kvasir-", dir=path.parent)  # created with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_shared_folder(folder: Path) -> None:
    """Create a folder for downloads that other accounts may read, whatever the umask; one that exists stays as it is.

    Raises:
        OSError: it cannot be created.

    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        one.chmod(0o755)


def share_tree(folder: Path) -> None:
    """Let other accounts read everything in a folder of downloads.

    Raises:
        OSError: a file cannot be changed.

    """
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for path in (Path(parent, name) for name in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


@contextlib.asynccontextmanager
async def hold_file_lock(path: Path, on_wait: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Hold a lock that one process at a time can have; the kernel releases it when the process ends.

    ``on_wait`` is called once if another process has the lock.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.

    """
    from filelock import AsyncFileLock, Timeout  # noqa: PLC0415  # slow to load, and most commands need no lock

    lock = AsyncFileLock(path, poll_interval=_LOCK_POLL_S, run_in_executor=False, fallback_to_soft=False)
    try:
        await lock.acquire(blocking=False)
    except Timeout:
        on_wait()
        await lock.acquire()
    try:
        yield
    finally:
        await lock.release()
