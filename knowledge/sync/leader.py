"""Takes the lease of the leader for the length of a run or for good, and does what other processes ask meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from knowledge.errors import DatabaseError, LeaseLost
from knowledge.sync.manifest.lease import Lease
from knowledge.sync.report import SyncProgress
from knowledge.sync.signals import Signal, cancel_and_wait

_log = logging.getLogger(__name__)

_RENEW_S: Final = 8.0
_TRY_S: Final = 2.0
"""The pause between two attempts to take or renew a lease. With ``VALID_S`` it is less than 30 s."""


class Leader:
    """The part of this process in the leadership. Several blocks may hold the lease at once; the last one ends it."""

    def __init__(
        self,
        lease: Lease,
        list_progress: Callable[[], Mapping[str, SyncProgress]],
        serve: Callable[[int], Coroutine[Any, Any, None]],
        stop_syncs: Callable[[], Awaitable[None]],
    ) -> None:
        """``serve`` does what other processes ask at a term; ``stop_syncs`` is called when the lease is lost."""
        self.lease = lease
        self._list_progress = list_progress
        self._serve = serve
        self._stop_syncs = stop_syncs
        self._turn = asyncio.Lock()
        self._blocks = Counter[int]()
        """Blocks that hold the lease, by the term at which they began."""
        self._changed = Signal()
        self._keeping: list[asyncio.Task[None]] = []
        self._ending: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def hold_lease(self) -> AsyncIterator[int]:
        """Hold the lease during a block. Yield its term, or 0 if another process has it or this one never leads."""
        async with self._turn:
            await self.wait_until_ended()
            if not self.lease.term and self.lease.owner.may_lead:
                await self._take_lease()
            term = self.lease.term
            self._blocks[term] += 1
        try:
            yield term
        finally:
            self._blocks[term] -= 1
            if term and term == self.lease.term and not self._blocks[term]:
                self._start_end()

    async def _take_lease(self) -> None:
        self._changed.wake_waiters()
        for keeping in self._keeping:  # of a term that was lost
            keeping.cancel()
            await asyncio.wait([keeping])  # cancellable: it may wait for a request that waits for this call
        try:
            if await self.lease.try_take():
                self._keeping = [asyncio.create_task(self._keep_lease(self.lease.term), name="lease")]
        except asyncio.CancelledError:
            self._start_end()
            raise

    def _start_end(self) -> None:
        """Give the lease back in a task: what the leader serves may wait for the block that ends."""
        self._ending = [asyncio.create_task(self._end_lease(), name="end of the lease")]

    async def wait_until_ended(self) -> None:
        """Wait until a lease that no block holds is given back."""
        if self._ending:
            await asyncio.wait(self._ending)

    async def lead(self, work: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Take the lease whenever it is free, and do the work whenever this process leads; until cancelled."""
        while self.lease.owner.may_lead:
            try:
                # A look disturbs no writer. Attempts to take a lease wait for the leader's transactions.
                if await self.lease.find_leader() is None or self.lease.term:
                    async with self.hold_lease() as term:
                        if term:
                            await self._work_until_lost(work, term)
            except DatabaseError as error:
                _log.warning("Whether this process may lead is not known: %s", error)
            await asyncio.sleep(_TRY_S)

    async def _work_until_lost(self, work: Callable[[], AbstractAsyncContextManager[None]], term: int) -> None:
        _log.info("This process leads now (term %d)", term)
        async with work():
            await self._changed.wait_until(lambda: self.lease.term != term)
        _log.warning("Another process leads now")

    async def has_lost(self, term: int) -> bool:
        """Return whether another process has taken the lease since a term."""
        try:
            await self.lease.confirm(term)
        except LeaseLost:
            return True
        except DatabaseError:
            pass
        return False

    async def close(self) -> None:
        """Stop the requests first, so that the next leader serves them, then all syncs; and give the lease back."""
        await cancel_and_wait(self._keeping)
        await self._stop_syncs()
        await self.wait_until_ended()
        await self._end_lease()

    async def _keep_lease(self, term: int) -> None:
        """Renew the lease and serve other processes until it is lost."""
        serving = asyncio.create_task(self._serve(term), name="requests")
        try:
            await self._renew_until_lost()
        finally:
            await cancel_and_wait([serving])
        self._changed.wake_waiters()
        await self._stop_syncs()

    async def _renew_until_lost(self) -> None:
        pause_s = _RENEW_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.lease.renew(self._list_progress())
                pause_s = _RENEW_S
            except DatabaseError as error:
                _log.warning("The lease could not be renewed: %s", error)
                pause_s = _TRY_S
            except LeaseLost:
                return

    async def _end_lease(self) -> None:
        await cancel_and_wait(self._keeping)
        if self.lease.term:
            with contextlib.suppress(DatabaseError):  # it ends by itself
                await self.lease.release()
