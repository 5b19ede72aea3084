"""A defect (any error that is none of ours) as the log is told of it: what it is and where, not what it says."""

from __future__ import annotations

import traceback
from pathlib import Path

_FRAMES = 3
"""The innermost calls that are named."""


def unwrap_group(error: BaseException) -> BaseException:
    """Return the error, of a group the first one in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def describe_defect(error: BaseException) -> str:
    """Return an error's type and the calls that it came through.

    Its text is left out: that of a foreign library may quote an address with its password, or a document.
    """
    calls = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = ", ".join(f"{Path(call.filename).name}:{call.lineno} in {call.name}" for call in calls)
    return f"{type(error).__name__} at {where}" if where else type(error).__name__
