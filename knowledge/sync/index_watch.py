"""Watches whether the index can be searched. Every process says so, and the one that syncs builds a lost one again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from knowledge.defects import describe_defect
from knowledge.errors import IndexLost, IndexRebuilding, KnowledgeError, StoreError
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.manifest.records import IndexRebuild, LastRepair
from knowledge.sync.signals import Signal, cancel_and_wait

_log = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 4.0
_REBUILD_FOR_S: Final = 2.0
"""How long the progress of a rebuild counts, so that a burst of questions counts the documents once."""
_EMPTY: Final = "The index is empty, although documents were indexed. The next sync builds it again from the sources."
_PAUSE_S: Final = 60.0
"""The seconds between two attempts to build a lost index."""


@dataclass(frozen=True, slots=True)
class IndexHealth:
    """Whether the index can be searched."""

    unavailable: StoreError | None = None
    loss: IndexLost | None = None
    """Why the index has to be built again; syncs do it."""
    rebuild: IndexRebuild | None = None
    """The progress, while documents are missing from the index."""

    @property
    def share(self) -> float:
        """Return how much of the index can be searched, from 0 to 1."""
        return 0.0 if self.unavailable or self.loss else 1.0 if self.rebuild is None else self.rebuild.share

    def find_trouble(self) -> KnowledgeError | None:
        """Return what is wrong, None if nothing is."""
        return self.unavailable or self.loss or (None if self.rebuild is None else IndexRebuilding(self.rebuild.share))


class IndexWatch:
    """Checks the index that is searched, on request and at intervals."""

    def __init__(self, indexes: Indexes, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._indexes = indexes
        self._sleep = sleep
        self._changed = Signal()
        self._rebuild: IndexRebuild | None = None
        self._rebuild_at = float("-inf")
        self._completed: LastRepair | None = None
        """The last repair after which no document was missing any more."""
        self.is_running = False
        """Whether the index was checked, and is checked again at intervals."""
        self.health = IndexHealth()
        """As of the last check."""

    async def find_health(self) -> IndexHealth:
        """Return the health of the last check, if this process checks at intervals; else check now.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        return self.health if self.is_running else await self.check_index()

    async def check_index(self) -> IndexHealth:
        """Check the index now, and return its health.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        try:
            await self._indexes.follow_active()
            index = self._indexes.searched
            await index.store.check()
            is_lost = not await index.store.count() and await index.manifest.has_chunks()
            rebuild = None if is_lost else await self.find_rebuild()
            self.health = IndexHealth(loss=IndexLost(_EMPTY) if is_lost else None, rebuild=rebuild)
        except IndexLost as error:
            self.health = IndexHealth(loss=error)
        except StoreError as error:
            self.health = IndexHealth(unavailable=error)
        self._changed.wake_waiters()
        return self.health

    async def find_rebuild(self) -> IndexRebuild | None:
        """Return the progress of a rebuild, at most two seconds old; None if no document is missing from the index.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        if time.monotonic() - self._rebuild_at > _REBUILD_FOR_S:
            self._rebuild_at, manifest = time.monotonic(), self._indexes.searched.manifest
            last = await manifest.read_last_repair()
            is_due = last is not None and last.repairs < last.differences and last != self._completed
            # Counting looks at every document, so it ends once none is missing after this repair.
            self._rebuild = await manifest.measure_rebuild() if is_due else None
            self._completed = last if self._rebuild is None else None
        return self._rebuild

    @asynccontextmanager
    async def run_in_background(self) -> AsyncIterator[None]:
        """Check the index at intervals within this block."""
        task = asyncio.create_task(self._check_repeatedly(), name="watch index")
        try:
            yield
        finally:
            await cancel_and_wait([task])

    async def _check_repeatedly(self) -> None:
        while True:
            try:
                await self.check_index()
                self.is_running = True
            except KnowledgeError as error:
                _log.warning("The index could not be checked: %s", error)
            except Exception as error:  # noqa: BLE001 (the watch must go on)
                _log.error("The check of the index met a defect: %s", describe_defect(error))
            await self._sleep(WATCH_EVERY_S)

    @asynccontextmanager
    async def heal_in_background(self, build: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Call ``build`` whenever the index is found lost, within this block. It raises nothing."""
        task = asyncio.create_task(self._heal_repeatedly(build), name="heal index")
        try:
            yield
        finally:
            await cancel_and_wait([task])

    async def _heal_repeatedly(self, build: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._changed.wait_until(lambda: bool(self.health.loss))
            _log.warning("%s Kvasir builds it now.", self.health.loss)
            await build()
            await self._sleep(_PAUSE_S)
