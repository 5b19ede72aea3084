"""Describe a defect (an unexpected error) for the log: its type and place, without its text."""

from __future__ import annotations

import traceback
from pathlib import Path

_FRAMES = 3


def unwrap_group(error: BaseException) -> BaseException:
    """Return the error; of a group, the first one in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def describe_defect(error: BaseException) -> str:
    """Return an error's type and its innermost calls.

    Its text is left out, because a foreign library may quote an address with its password, or a document.
    """
    calls = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = ", ".join(f"{Path(call.filename).name}:{call.lineno} in {call.name}" for call in calls)
    return f"{type(error).__name__} at {where}" if where else type(error).__name__
