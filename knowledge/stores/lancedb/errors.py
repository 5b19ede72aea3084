"""Translate LanceDB's errors, which are plain ``RuntimeError`` and ``ValueError``, by their texts.

Its texts may quote file contents and build paths, so our errors do not repeat them. They stay the ``__cause__``.
"""

from __future__ import annotations

from pathlib import Path

from knowledge.errors import StoreError, StoreReadOnly, StoreUnavailable

_NO_WRITES = ("Read-only file system", "os error 30)", "Permission denied", "os error 13)", "os error 1)")
_FULL = ("No space left on device", "os error 28)", "Disk quota exceeded", "os error 122)", "os error 27)")
_CONFLICT = ("commit conflict", "please retry", "incompatible transaction")
_BUSY = ("Too many open files", "os error 24)", "Cannot allocate memory", "os error 12)")


def is_conflict(error: Exception) -> bool:
    """Return whether another writer committed first, so that a retry may succeed."""
    text = str(error).lower()
    return any(mark in text for mark in _CONFLICT)


def is_missing(error: Exception) -> bool:
    """Return whether the table does not exist."""
    text = str(error)
    return (text.startswith("Table '") and "was not found" in text) or (
        "Not found: " in text and ".lance/_versions" in text
    )


def translate_error(error: Exception, directory: Path) -> StoreError:
    """Return our error for one of LanceDB's."""
    text = str(error)
    if any(mark in text for mark in _NO_WRITES):
        return StoreReadOnly(
            f"The embedded store in {directory} accepts no writes: give Kvasir's user write access (or mount "
            "it writable), then try again."
        )
    if any(mark in text for mark in _FULL):
        return StoreReadOnly(
            f"The disk that holds the embedded store in {directory} is full: free some space, then try again."
        )
    if any(mark in text for mark in _BUSY):
        return StoreUnavailable(
            f"The machine refused the embedded store in {directory} files or memory: raise the limit (`ulimit -n`), "
            "then try again."
        )
    if is_conflict(error):
        return StoreUnavailable(f"Other writers kept the embedded store in {directory} busy: try again.")
    if is_missing(error):
        return StoreError(
            f"The index is gone from the embedded store in {directory}: start Kvasir again, then run `kvasir sync`."
        )
    return StoreError(
        f"The embedded store in {directory} cannot be read: its files may be damaged. Stop Kvasir, move that directory "
        "away, then run `kvasir sync` to build it again."
    )
