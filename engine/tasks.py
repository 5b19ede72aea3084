"""Wait for tasks whose end matters even if the waiting task is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any


async def wait_for_end(future: asyncio.Future[Any]) -> None:
    """Wait until a task or future is done, even if the caller is cancelled meanwhile; then raise the cancellation."""
    is_cancelled = False
    while not future.done():
        try:
            await asyncio.gather(asyncio.shield(future), return_exceptions=True)
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError
