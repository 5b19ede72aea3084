"""Finds a short history that still fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def shrink(
    steps: Sequence[T], still_fails: Callable[[Sequence[T]], Awaitable[bool]], *, attempts: int = 25
) -> Sequence[T]:
    """Return fewer steps that still fail: parts are removed, from halves down to single steps, while that helps."""
    size = max(1, len(steps) // 2)
    while attempts > 0:
        start, is_shorter = 0, False
        while start < len(steps) and attempts > 0:
            attempts -= 1
            fewer = [*steps[:start], *steps[start + size :]]
            if fewer and await still_fails(fewer):
                steps, is_shorter = fewer, True
            else:
                start += size
        if size == 1 and not is_shorter:
            break
        size = max(1, size // 2)
    return steps
