"""Leases the places at an engine that several processes use, so that together they run no more requests than it has.

One task makes all changes, one after the other. Before it asks, it gives up what is free, so that no request can start
in a place that another process gets meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from engine.errors import EngineOverloaded
from engine.notes import NoteCode

LEASE_S: Final = 15.0
"""How long the places of a process that has died stay taken."""
_RENEW_S: Final = LEASE_S / 3
_RETRY_S: Final = 0.2
"""How often a process asks again for places that it lacks."""


@dataclass(frozen=True, slots=True)
class PlaceLease:
    """The places of one process."""

    held: int
    share: int
    """How many it could run in the long run if it had enough requests."""


class SharedPlaces(Protocol):
    """The places of all processes."""

    async def lease_places(self, running: int, wanted: int, total: int) -> PlaceLease | None:
        """Hold ``running`` places of ``total`` for ``LEASE_S``, and up to ``wanted`` if they are free.

        Return None if the places are unknown now.
        """


class PlaceKeeper:
    """The places of this process."""

    def __init__(
        self,
        places: SharedPlaces,
        count_total: Callable[[], int],
        count_requests: Callable[[], tuple[int, int]],
        start_next: Callable[[], None],
    ) -> None:
        """``count_requests`` returns how many people's requests run and wait; ``start_next`` starts those that may."""
        self._places = places
        self._count_total = count_total
        self._count_requests = count_requests
        self._start_next = start_next
        self._held = 0
        self._share: int | None = None
        self._borrowed = 0
        self._borrowers: list[asyncio.Future[bool]] = []
        self._changed = asyncio.Event()

    @property
    def width(self) -> int:
        """Return how many people's requests may run now."""
        return self._held - self._borrowed

    @property
    def share(self) -> int:
        """Return how many people's requests can run at once in the long run."""
        return self._count_total() if self._share is None else max(1, self._share)

    def update(self) -> None:
        """Ask for places, or give them back, because the requests have changed."""
        self._changed.set()

    @contextlib.asynccontextmanager
    async def borrow_place(self) -> AsyncIterator[None]:
        """Hold a place for a short request, which does not wait for one.

        Raises:
            EngineOverloaded: all places are used.

        """
        granted = asyncio.get_running_loop().create_future()
        self._borrowers.append(granted)
        self.update()
        try:
            if not await granted:
                raise EngineOverloaded(NoteCode.ALL_PLACES_USED.fill())
            yield
        finally:
            if granted.done() and not granted.cancelled() and granted.result():
                self._borrowed -= 1
            self.update()

    async def run(self) -> None:
        """Keep the places until cancelled, and give them back then."""
        try:
            while True:
                self._changed.clear()
                wait_s = await self._update_lease()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
        finally:
            self._grant_places(self._borrowers)
            await asyncio.shield(self._places.lease_places(0, 0, self._count_total()))

    async def _update_lease(self) -> float | None:
        """Change the lease as the requests need it; return in how many seconds that is due again."""
        running, waiting = self._count_requests()
        running += self._borrowed
        borrowers = list(self._borrowers)
        wanted = running + waiting + len(borrowers)
        self._held = running
        lease = await self._places.lease_places(running, wanted, self._count_total())
        if lease is not None:
            self._held, self._share = lease.held, lease.share
            self._start_next()
        self._grant_places(borrowers)
        del self._borrowers[: len(borrowers)]
        if self._held < wanted:
            return _RETRY_S
        return _RENEW_S if self._held else None

    def _grant_places(self, borrowers: Iterable[asyncio.Future[bool]]) -> None:
        """Give free places to short requests while no person waits, and refuse the others."""
        running, waiting = self._count_requests()
        for one in borrowers:
            if not one.done():
                is_free = not waiting and running + self._borrowed < self._held
                self._borrowed += is_free
                one.set_result(is_free)
