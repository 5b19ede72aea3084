"""Translate LanceDB's errors, which are plain ``RuntimeError`` and ``ValueError``, by their texts.

Its texts may quote file contents and build paths, so our errors do not repeat them. They stay the ``__cause__``.
"""

from __future__ import annotations

from pathlib import Path

from knowledge.errors import IndexLost, StoreError, StoreReadOnly, StoreUnavailable

_CONFLICT = ("commit conflict", "please retry", "incompatible transaction")
_BY_THE_SYSTEM = (
    (
        ("Read-only file system", "os error 30)", "Permission denied", "os error 13)", "os error 1)"),
        StoreReadOnly,
        "The embedded store in {} accepts no writes: let Kvasir's user write there (or mount it so), then try again.",
    ),
    (
        ("No space left on device", "os error 28)", "Disk quota exceeded", "os error 122)", "os error 27)"),
        StoreReadOnly,
        "The disk that holds the embedded store in {} is full: free some space, then try again.",
    ),
    (
        ("Too many open files", "os error 24)", "Cannot allocate memory", "os error 12)"),
        StoreUnavailable,
        "The machine refused the embedded store in {} files or memory: raise the limit (`ulimit -n`), then try again.",
    ),
    (
        ("Input/output error", "os error 5)", "Stale file handle", "os error 116)"),
        StoreUnavailable,
        "The disk of the embedded store in {} fails: check it and its mount, then try again.",
    ),
    (
        ("[Errno 17]", "[Errno 20]"),
        StoreError,
        "The embedded store cannot be made in {}, because a file is in its way: move that file, then try again.",
    ),
)
"""Marks of the operating system's errors, with ours for them and its text about a directory."""


def is_conflict(error: Exception) -> bool:
    """Return whether another writer committed first, so that a retry may succeed."""
    return any(mark in str(error).lower() for mark in _CONFLICT)


def is_missing(error: Exception) -> bool:
    """Return whether the table does not exist."""
    text = str(error)
    return (text.startswith("Table '") and "was not found" in text) or (
        "Not found: " in text and ".lance/_versions" in text
    )


def is_stale(error: Exception) -> bool:
    """Return whether a file is gone. A newer version of the table has others, unless the newest is damaged."""
    return "Not found: " in str(error) and not is_missing(error)


def translate_error(error: Exception, directory: Path) -> StoreError:
    """Return our error for one of LanceDB's."""
    for marks, kind, text in _BY_THE_SYSTEM:
        if any(mark in str(error) for mark in marks):
            return kind(text.format(directory))
    if is_conflict(error):
        return StoreUnavailable(f"Other writers kept the embedded store in {directory} busy: try again.")
    if is_missing(error):
        return IndexLost(
            f"The index is gone from the embedded store in {directory}: the next sync builds it again from the sources."
        )
    return IndexLost(
        f"The embedded store in {directory} cannot be read: its files may be damaged. Kvasir checks them, and the next "
        "sync builds a damaged index again from the sources."
    )
