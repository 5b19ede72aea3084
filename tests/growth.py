"""Compares the processor time of a long text with that of its quarter, on the same machine, however slow it is."""

from __future__ import annotations

import time
from collections.abc import Callable

FLOOR_S = 0.05
"""Processor time that the whole text takes at least before its growth counts."""
LINEAR, QUADRATIC = 8, 32
"""The most times as long that a text may take as its quarter. Linear work takes 4 times as long, quadratic work 16
times and cubic work 64 times."""


def takes_linear_time(work: Callable[[int], object], size: int) -> bool:
    """Return whether work on so many repetitions grows linearly. A busy machine can disturb one of three tries."""
    return any(_measure_s(work, size) <= max(FLOOR_S, LINEAR * _measure_s(work, size // 4)) for _ in range(3))


def _measure_s(work: Callable[[int], object], size: int) -> float:
    began_s = time.thread_time()
    work(size)
    return time.thread_time() - began_s
