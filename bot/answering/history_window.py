"""Which of what was said before is sent again, where all of it is too much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_STEP: Final = 4
"""Turns that go at once. A turn that falls off the beginning has the engine read anew all that comes behind it."""


def find_window_start(costs: Sequence[int], room: int, most: int | None = None) -> int:
    """Return from where on the latest fit: ``len(costs)`` for none.

    What went from the beginning goes in steps, so that several questions in a row have the same beginning; but more
    than half of what fits is kept.

    Args:
        costs: of each, oldest first, counted from the beginning of the conversation or after a number of whole steps.
        room: for all of them together.
        most: how many at most.

    """
    start = last = len(costs)
    while start and costs[start - 1] <= room and last - start != most:
        start -= 1
        room -= costs[start]
    stepped = -(-start // _STEP) * _STEP
    return stepped if 2 * (last - stepped) > last - start else start
