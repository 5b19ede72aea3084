"""Another process that leads, for tests: a lease that somebody else holds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from knowledge.database.database import Database
from knowledge.sync.manifest.lease import Lease, LeaseOwner
from tests.database.scripts import run_script


@contextlib.asynccontextmanager
async def open_lease(
    url: str, *, is_dead: Callable[[str], bool] = lambda _: False, machine: str | None = None
) -> AsyncIterator[Lease]:
    """Open a lease that is not taken yet."""
    owner = LeaseOwner(is_dead=is_dead) if machine is None else LeaseOwner(machine=machine)
    database = Database(url)
    try:
        yield Lease(database, owner)
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def lead_elsewhere(url: str) -> AsyncIterator[Lease]:
    """Hold the lease as another process does that serves nobody."""
    async with open_lease(url) as lease:
        assert await lease.try_take()
        yield lease
        await lease.release()


async def end_lease(url: str) -> None:
    """Let the time of the lease run out, as if its owner had been stopped for long."""
    await run_script(url, "UPDATE knowledge_leases SET until = 1")
