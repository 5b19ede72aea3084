"""Which index is searched and which is written: one, unless what an index is made with has changed.

Then the new index grows beside the old one. The old one answers until every source was worked off, if the vectors of a
question can be compared with its own; afterwards one row of the manifest switches, and the old index is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from knowledge.interfaces import SourceKey, Store
from knowledge.sync.records import Identity
from knowledge.sync.state import IndexManifest, IndexRow, Manifest


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """An index with the store that is open on it and what the manifest holds of it."""

    row: IndexRow
    store: Store
    manifest: IndexManifest


class Indexes:
    """The indexes of one identity: ``searched`` and ``written``."""

    def __init__(self, manifest: Manifest, new_store: Callable[[], Store], dimensions: int) -> None:
        self._manifest = manifest
        self._new_store = new_store
        self._dimensions = dimensions
        self._stores: list[Store] = []
        self.searched: OpenIndex
        self.written: OpenIndex

    async def open(self, identity: Identity) -> None:
        """Open the index of ``identity`` for writing, and the active one for searching where it can be searched.

        Raises:
            StoreError, ManifestError: one of them cannot be opened.

        """
        wanted = await self._manifest.index(identity)
        self.written = self.searched = await self._open(wanted)
        active = await self._active()
        if active.id != wanted.id and (active.store, active.embedder) == (identity.store, identity.embedder):
            self.searched = await self._open(active)

    @property
    def settled(self) -> bool:
        """Whether what is searched is what is written, and is the active one."""
        return self.written.row.active

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Keep the syncs of other machines out; see ``Manifest.alone``."""
        return self._manifest.alone()

    async def follow(self) -> None:
        """Search the written index once another process has made it the active one."""
        if not self.settled and (await self._active()).id == self.written.row.id:
            self._settle()

    async def switch(self, sources: Sequence[SourceKey]) -> bool:
        """Make the written index the active one if every source was worked off in it; drop the others.

        Returns whether there was a switch.
        """
        await self.follow()
        if self.settled:
            # A switch that died may have left older ones; a newer one is another Kvasir's, and growing.
            await self._drop(row for row in await self._manifest.indexes() if row.id < self.written.row.id)
            return False
        if not await self._whole(sources):
            return False
        await self._manifest.activate(self.written.row)
        self._settle()
        await self._drop(row for row in await self._manifest.indexes() if row.id != self.written.row.id)
        return True

    async def _drop(self, rows: Iterable[IndexRow]) -> None:
        """Drop indexes; what lies in another kind of store is only forgotten."""
        for row in rows:
            if row.store == self.written.store.kind:
                await self.written.store.drop(row.name)
            await self._manifest.forget(row)

    async def close(self) -> None:
        """Close every store."""
        while self._stores:
            await self._stores.pop().close()

    async def _open(self, row: IndexRow) -> OpenIndex:
        store = self._new_store()
        self._stores.append(store)
        await store.open(row.name, self._dimensions)
        return OpenIndex(row, store, self._manifest.at(row))

    async def _active(self) -> IndexRow:
        return next(row for row in await self._manifest.indexes() if row.active)

    async def _whole(self, sources: Sequence[SourceKey]) -> bool:
        counts = [await self.written.manifest.counts(key) for key in sources]
        return all(count.listed_at is not None for count in counts)

    def _settle(self) -> None:
        row = replace(self.written.row, active=True)
        self.searched = self.written = OpenIndex(row, self.written.store, self.written.manifest)
