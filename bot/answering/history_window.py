"""Choose the latest part of a conversation that fits a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_STEP: Final = 4
"""Turns that are dropped at once: each drop makes the engine read again all that follows."""


def find_window_start(costs: Sequence[int], room: int, most: int | None = None) -> int:
    """Return the index of the first turn that is sent: ``len(costs)`` for none.

    Turns are dropped from the beginning in steps, so that several questions in a row have the same beginning. More than
    half of what fits is kept.

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
