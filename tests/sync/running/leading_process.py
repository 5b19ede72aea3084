"""A process that leads whenever it can, and syncs all the time while it leads: for ``leader_faults.py``.

It writes a line for each event, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from knowledge.database import database
from knowledge.errors import KnowledgeError
from knowledge.library import Library
from knowledge.sync import leader
from knowledge.sync.manifest import lease
from tests.sync.running import killed_sync
from tests.sync.running.killed_sync import World, opened


def tell(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the tests read it


async def sync_forever(library: Library) -> None:
    """Sync again and again, as a bot does whose sources change all the time."""
    while True:
        tell("begins")
        try:
            report = await library.refresh()
            tell("synced", report.ok, *(one.error for one in report.sources.values() if one.error))
        except KnowledgeError as error:
            tell("failed", type(error).__name__, error)
        await asyncio.sleep(0.05)


def run_leading_process(world: World, valid_s: float) -> None:
    asyncio.run(_lead(world, valid_s))


async def _lead(world: World, valid_s: float) -> None:
    lease.VALID_S = valid_s  # type: ignore[misc]
    leader._RENEW_S = lease.VALID_S / 3  # type: ignore[misc]
    lease._SILENT_S = 0.6 * lease.VALID_S  # type: ignore[misc]
    database._IDLE_LIMIT = f"{1000 * lease._SILENT_S:.0f}ms"  # type: ignore[misc]
    killed_sync.is_dead = lambda _: False  # as if the other process ran on another machine
    async with opened(world) as library:

        @contextlib.asynccontextmanager
        async def work() -> AsyncIterator[None]:
            tell("leads", library.syncs.leader.lease.term)
            task = asyncio.create_task(sync_forever(library))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])
                tell("ends")

        leading = asyncio.create_task(library.syncs.leader.lead(work))
        tell("ready")
        await asyncio.to_thread(sys.stdin.read)
        leading.cancel()
        await asyncio.wait([leading])
