"""A thread pool for the blocking work on weights, in small steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from engine.tasks import wait_for_end
from engine.weights.listing import Digest

_T = TypeVar("_T")

_STEP_BYTES = 16 * 2**20


class WorkerThreads:
    """A thread pool for blocking work on weights. A cancelled ``run`` returns at once while its step still runs."""

    def __init__(self, width: int = 4) -> None:
        self._executor = ThreadPoolExecutor(width, thread_name_prefix="kvasir-weights")

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return the result of ``call``, or raise its error."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def run_to_end(self, call: Callable[[], _T]) -> _T:
        """As ``run``, but a cancelled caller waits for the end of ``call``: for writes, so that none happens later."""
        step = asyncio.get_running_loop().run_in_executor(self._executor, call)
        await wait_for_end(step)
        return step.result()

    async def matches_digest(self, path: Path, digest: Digest) -> bool:
        """Return whether the file has this digest."""
        with await self.run(lambda: path.open("rb")) as file:
            running = digest.start_hash(path.stat().st_size)

            def hash_block() -> bool:
                block = file.read(_STEP_BYTES)
                running.update(block)
                return bool(block)

            while await self.run(hash_block):
                pass
        return running.hexdigest() == digest.value

    def close(self) -> None:
        """Accept no more calls, and wait for none."""
        self._executor.shutdown(wait=False, cancel_futures=True)
