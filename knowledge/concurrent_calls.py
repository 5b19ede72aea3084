"""Run calls concurrently, so that neither a failure nor a cancellation leaves one of them behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def run_all(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Return the results in order. If one call fails or this task is cancelled, cancel the others and wait for them.

    A ``TaskGroup`` raises the failure alone where a call fails while its caller is cancelled; this is cancelled then.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
