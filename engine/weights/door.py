"""The one way by which the blocking work on weights is done: a few threads of its own, a step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from engine.weights.listing import Digest

_T = TypeVar("_T")

_STEP_BYTES = 16 * 2**20
"""Hashed at once: a cancelled caller waits for no more than this."""


class WorkerThreads:
    """Threads that nobody else waits for. A cancelled caller goes on at once; its step ends behind it."""

    def __init__(self, width: int = 4) -> None:
        self._executor = ThreadPoolExecutor(width, thread_name_prefix="kvasir-weights")

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return what the call returns, or raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def matches_digest(self, path: Path, digest: Digest) -> bool:
        """Say whether a file's bytes hash to what they must."""
        with await self.run(lambda: path.open("rb")) as file:
            running = digest.start_hash(path.stat().st_size)

            def step() -> bool:
                block = file.read(_STEP_BYTES)
                running.update(block)
                return bool(block)

            while await self.run(step):
                pass
        return running.hexdigest() == digest.value

    def close(self) -> None:
        """Take no more calls, and wait for none that was taken."""
        self._executor.shutdown(wait=False, cancel_futures=True)
