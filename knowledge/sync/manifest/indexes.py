"""Which index is searched and which is written: one, unless what an index is made with has changed.

Then the new index grows beside the old one. The old one answers until every source was worked off: with both legs where
its vectors are of the same embedder, else with the lexical one. Afterwards one row of the manifest switches, and the
old index is dropped. Whatever is killed on the way is gone on with, or done again, by the next process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from knowledge.errors import DatabaseError, StoreMisconfigured
from knowledge.interfaces import SourceKey, Store
from knowledge.sync.manifest.manifest import IndexManifest, IndexRow, Manifest
from knowledge.sync.manifest.records import IndexGrowth, IndexIdentity

_PACE_DOCUMENTS = 500
"""The last so many documents tell how quickly an index grows."""
_PAUSED_S = 900.0
"""An index into which nothing came for so long does not grow now: one document may take as long."""


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """An index with the store that is open on it and what the manifest holds of it."""

    row: IndexRow
    store: Store
    manifest: IndexManifest
    dense: bool = True
    """Whether its vectors can be compared with a question's; if not, only its terms can be searched."""


class Indexes:
    """The indexes of one identity: ``searched`` and ``written``."""

    def __init__(self, manifest: Manifest, new_store: Callable[[], Store], dimensions: int) -> None:
        self._manifest = manifest
        self._new_store = new_store
        self._dimensions = dimensions
        self._stores: list[Store] = []
        self._shut: set[int] = set()
        """Indexes that this Kvasir cannot open; not tried again at each search."""
        self.searched: OpenIndex
        self.written: OpenIndex

    async def open(self, identity: IndexIdentity) -> None:
        """Open the index of ``identity`` for writing, and the active one for searching.

        Raises:
            StoreError, DatabaseError: one of them cannot be opened.

        """
        self.written = self.searched = await self._open(await self._manifest.add_index(identity, self._dimensions))
        await self._search_the_active()

    @property
    def settled(self) -> bool:
        """Whether what is searched is what is written, and is the active one."""
        return self.written.row.active

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Keep the syncs of other machines out; see ``Manifest.alone``."""
        return self._manifest.hold_sync_lock()

    async def follow(self, *, lost: bool = False) -> None:
        """Search the index that another process has made the active one.

        Once what is searched is what is written, that costs nothing and is not looked at, unless the index is ``lost``:
        a Kvasir of another version or model may have dropped it.

        Raises:
            StoreError, DatabaseError: the other index cannot be opened.

        """
        if lost or not self.settled:
            await self._search_the_active()

    async def check(self) -> None:
        """Look whether the written index is still there, before a sync.

        Raises:
            DatabaseError: another Kvasir has dropped it.

        """
        if all(row.id != self.written.row.id for row in await self._manifest.list_indexes()):
            await self.follow(lost=True)
            raise DatabaseError(
                "Another Kvasir, of another version or with another model, has made the index anew and removed the one "
                "that this Kvasir writes. Start this one again, with the same version and settings as the other."
            )

    async def switch(self, sources: Sequence[SourceKey]) -> bool:
        """Make the written index the active one if every source was worked off in it; drop the older ones.

        Returns whether there was a switch.
        """
        await self.follow()
        switched = not self.settled and await self._whole(sources)
        if switched:
            await self._manifest.activate_index(self.written.row)
            self._settle()
        if self.settled:
            # Also those that a switch which died has left. A newer one is another Kvasir's, and growing.
            await self._drop(row for row in await self._manifest.list_indexes() if row.id < self.written.row.id)
        return switched

    async def growth(self, sources: Sequence[SourceKey], now: Callable[[], float] = time.time) -> IndexGrowth | None:
        """Tell how far the new index is; None when none is growing.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        await self.follow()
        if self.settled:
            return None
        done = [await self.written.manifest.count_source(key) for key in sources]
        wanted = [await self.searched.manifest.count_source(key) for key in sources]
        # A source that was worked off is whole, however many documents it has now.
        total = sum(
            max(one.documents, 0 if one.listed_at else old.documents) for one, old in zip(done, wanted, strict=True)
        )
        documents = sum(one.documents for one in done)
        pace = await self.written.manifest.measure_pace(_PACE_DOCUMENTS, now() - _PAUSED_S)
        return IndexGrowth(documents, total, (total - documents) / pace if pace else None, dense=self.searched.dense)

    async def close(self) -> None:
        """Close every store."""
        while self._stores:
            await self._stores.pop().close()

    async def _search_the_active(self) -> None:
        active = next((row for row in await self._manifest.list_indexes() if row.active), None)
        if active is None or active.id == self.searched.row.id == self.written.row.id:
            return
        if active.id == self.written.row.id:
            self._settle()
        elif active.id not in {self.searched.row.id, *self._shut} and active.store == self.written.store.kind:
            await self._search(active)

    async def _search(self, active: IndexRow) -> None:
        """Search an index beside the written one; one that this Kvasir cannot open is not searched."""
        try:
            opened = await self._open(active)
        except StoreMisconfigured:
            self._shut.add(active.id)
            return
        same = active.embedder == self.written.row.embedder
        self.searched = replace(opened, dense=same)
        if self.settled:
            self.written = replace(self.written, row=replace(self.written.row, active=False))

    async def _drop(self, rows: Iterable[IndexRow]) -> None:
        """Drop indexes; what lies in another kind of store is only forgotten."""
        for row in rows:
            if row.store == self.written.store.kind:
                await self.written.store.drop_index(row.name)
            await self._manifest.forget_index(row)

    async def _open(self, row: IndexRow) -> OpenIndex:
        store = self._new_store()
        try:
            await store.open(row.name, row.dimensions or self._dimensions)
        except BaseException:
            await store.close()
            raise
        self._stores.append(store)
        return OpenIndex(row, store, self._manifest.open_index(row))

    async def _whole(self, sources: Sequence[SourceKey]) -> bool:
        """Tell whether every source was worked off, none of them longer ago than in the active index.

        An index that was left growing and is gone on with later holds rights and documents as they were then.
        """
        active = next((row for row in await self._manifest.list_indexes() if row.active), self.written.row)
        seen = [(await self.written.manifest.count_source(key)).listed_at for key in sources]
        before = [(await self._manifest.open_index(active).count_source(key)).listed_at or 0.0 for key in sources]
        # A moment that is yet to come was noted by a clock that was wrong.
        now = time.time()
        return all(new is not None and not new < old <= now for new, old in zip(seen, before, strict=True))

    def _settle(self) -> None:
        row = replace(self.written.row, active=True)
        self.searched = self.written = OpenIndex(row, self.written.store, self.written.manifest)
