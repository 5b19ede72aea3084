"""Write the index: syncs and repairs, by one process at a time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from knowledge.interfaces import Embedder, SourceKey
from knowledge.lexical import terms
from knowledge.sync.lock import hold_sync_lock
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.running.repair import Drift, repair_index
from knowledge.sync.running.run import SyncRun, open_run
from knowledge.sync.running.shadow_index import ShadowIndex
from knowledge.sync.running.tools import ChunkDocument, SyncTools


class IndexWriter:
    """Opens syncs and repairs, each under the lock against other processes.

    Args:
        indexes: the one to write is followed and checked before each use.
        sources: all that are configured.
        lock: the file of the lock.
        embedder: of the index to write.
        passages: parses and splits documents.
        configured: the key of each source's configured readers, by ``SourceKey.id``.
        now: seconds since the epoch.

    """

    def __init__(
        self,
        indexes: Indexes,
        sources: Sequence[SourceKey],
        lock: Path,
        embedder: Embedder,
        passages: ChunkDocument,
        *,
        configured: Mapping[str, str],
        now: Callable[[], float],
    ) -> None:
        self._indexes = indexes
        self._sources = sources
        self._lock = lock
        self._embedder = embedder
        self._passages = passages
        self._configured = configured
        self._now = now

    @contextlib.asynccontextmanager
    async def open_run(self) -> AsyncIterator[SyncRun]:
        """Open a run in which sources are synced; at its end a complete index takes over."""
        async with self._hold_write_access():
            async with open_run(self._make_tools(), [source.id for source in self._sources]) as run:
                yield run
            await self._indexes.switch_index(self._sources)

    async def repair_index(self) -> Drift:
        """Compare store and manifest row by row, and repair what differs.

        Raises:
            SyncRunning: another process writes.
            StoreError, DatabaseError: that side failed; nothing is lost.

        """
        async with self._hold_write_access():
            written = self._indexes.written
            return await repair_index(written.store, written.manifest, thorough=True)

    @contextlib.asynccontextmanager
    async def _hold_write_access(self) -> AsyncIterator[None]:
        """Hold the lock against other processes, and follow the index to write, within this block."""
        with hold_sync_lock(self._lock):
            async with self._indexes.hold_sync_lock():
                await self._indexes.follow_active()
                await self._indexes.check_index()
                yield

    def _make_tools(self) -> SyncTools:
        written, searched = self._indexes.written, self._indexes.searched
        shadow = None if searched.row.id == written.row.id else ShadowIndex(searched.store, searched.manifest)
        return SyncTools(
            self._embedder,
            written.store,
            written.manifest,
            self._passages,
            terms.index_terms,
            shadow=shadow,
            readers_keys=self._configured,
            now=self._now,
        )
