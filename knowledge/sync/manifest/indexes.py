"""Chooses the index to search and the index to write: the same one, unless the identity of an index has changed.

Then a new index grows next to the old one, which answers until every source is synced into the new one, also if it is
in another store. It answers by vectors and words if its embedder is still there, otherwise by words alone. Then one row
of the manifest switches, and the old index is deleted. If a process dies in between, the next one continues.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, cast

from knowledge.errors import DatabaseError, IndexLost, StoreError, StoreMisconfigured, StoreUnavailable
from knowledge.interfaces import Embedder, SourceKey, Store
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.manifest import IndexRow, Manifest
from knowledge.sync.manifest.records import IndexGrowth, IndexIdentity
from knowledge.sync.manifest.running_backups import RunningBackups

_log = logging.getLogger(__name__)

_PACE_DOCUMENTS = 500
"""The last documents whose times give the pace of a growing index."""
_PAUSED_S = 900.0
"""An index does not grow at the moment if nothing was added for this long; one document may take as long."""


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """An index with its open store and its part of the manifest."""

    row: IndexRow
    store: Store
    manifest: IndexManifest
    embedder: Embedder | None
    """Makes vectors of questions that can be compared with its own. None: only its terms are searched."""


class _MissingStore:
    """The store of an index that cannot be made before its embedder has said how long vectors are."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def __getattr__(self, name: str) -> NoReturn:
        raise StoreUnavailable(f"There is no index yet. {self._embedder.trouble or 'Run `kvasir sync`.'}")


async def _open_none(_identity: str) -> Embedder | None:
    return None


class Indexes:
    """The index ``searched`` and the index ``written`` of one identity."""

    def __init__(
        self,
        manifest: Manifest,
        new_store: Callable[[str], Store],
        embedder: Embedder,
        open_previous: Callable[[str], Awaitable[Embedder | None]] = _open_none,
    ) -> None:
        """``new_store`` makes a store by its name, and ``open_previous`` opens an embedder by its identity."""
        self.manifest = manifest
        self._new_store = new_store
        self._embedder = embedder
        self._open_previous = open_previous
        self._following = asyncio.Lock()
        self._previous: dict[str, Embedder] = {}
        self._stores: list[Store] = []
        self._shut: set[int] = set()
        """Indexes that this Kvasir cannot open and does not try again at each search."""
        self.searched: OpenIndex
        self.written: OpenIndex

    async def open(self, identity: IndexIdentity) -> None:
        """Open the index of ``identity`` to write, and the active one to search.

        Raises:
            StoreError, DatabaseError: one of them cannot be opened.

        """
        if self.manifest.namespace and not await self.manifest.list_indexes():
            await self._adopt_indexes(identity.store)
        row = await self.manifest.add_index(identity, self._embedder.dimensions)
        self.written = self.searched = await self._open_index(row)
        await self._search_the_active()

    @property
    def is_settled(self) -> bool:
        """Whether the index that is written is the active one."""
        return self.written.row.active

    async def follow_active(self, *, lost: bool = False) -> None:
        """Search the active index, which another process may have switched, or could not open before.

        If the index that is written is active, nothing is read, unless the index is ``lost``. A Kvasir of another
        version or model may have deleted it.

        Raises:
            StoreError, DatabaseError: the other index cannot be opened.

        """
        if self.is_missing and self._embedder.dimensions:
            await self._open_missing()
        if lost or not self.is_settled:
            await self._search_the_active()

    @property
    def is_missing(self) -> bool:
        """Whether the written index cannot be made yet, because its embedder gave no vector."""
        return isinstance(self.written.store, _MissingStore)

    async def check_index(self, *, adds_rows: bool) -> None:
        """Check before a sync that the written index still exists; with ``adds_rows``, make one that is missing.

        Raises:
            DatabaseError: another Kvasir has deleted it.
            EmbedderError: the missing one cannot be made, because the embedder gives no vector.
            StoreError: the store makes no index.

        """
        if adds_rows and self.is_missing:
            await self._embedder.embed_query("")
            await self.follow_active()
        if all(row.id != self.written.row.id for row in await self.manifest.list_indexes()):
            await self.follow_active(lost=True)
            raise DatabaseError(
                "Another Kvasir, of another version or with another model, has made a new index and removed the one "
                "that this Kvasir writes. Start this one again, with the same version and settings as the other."
            )

    def list_open(self) -> Sequence[OpenIndex]:
        """Return the index that is searched and the one that is written, each once, without a missing one."""
        indexes = [self.searched, *([] if self.written.row.id == self.searched.row.id else [self.written])]
        return [one for one in indexes if not isinstance(one.store, _MissingStore)]

    async def replace_lost_index(self, store: Store) -> None:
        """Before a sync, heal the written index, or make an empty one in its place if its rows are missing or damaged.

        ``store`` is that of a leader, which compares its term. The repair that follows finds all rows missing, and the
        sync reads their documents again.

        Raises:
            StoreError: the store cannot be reached, or makes no index.

        """
        row = self.written.row
        try:
            await store.check(heal=True)
        except IndexLost as error:
            _log.warning("%s", error)
            await store.drop_index(row.name)
            await store.open(row.name, row.dimensions or self._embedder.dimensions)

    async def switch_index(
        self, sources: Sequence[SourceKey], manifest: Manifest, guard: Callable[[Store], Store]
    ) -> bool:
        """Make the written index the active one if every source is synced into it, and delete the older ones.

        ``manifest`` and what ``guard`` makes of a store are those of a leader, which compare its term. Return whether
        it became active.
        """
        await self.follow_active()
        switched = not self.is_settled and await self._is_complete(sources)
        if switched:
            await manifest.activate_index(self.written.row)
            self._settle_indexes()
        if self.is_settled and not await RunningBackups(self.manifest.database).is_any_running():
            # Also those that an interrupted switch left. A newer one belongs to another Kvasir, and grows.
            for row in await self.manifest.list_indexes():
                if row.id < self.written.row.id:
                    await self._drop_index(row, manifest, guard)
        return switched

    async def measure_growth(
        self, sources: Sequence[SourceKey], now: Callable[[], float] = time.time
    ) -> IndexGrowth | None:
        """Return the progress of the new index; None if none grows.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        await self.follow_active()
        if self.is_settled:
            return None
        done = [await self.written.manifest.count_source(key) for key in sources]
        targets = [await self.searched.manifest.count_source(key) for key in sources]
        # A source that was synced is complete with any number of documents.
        total = sum(
            max(one.documents, 0 if one.listed_at else old.documents) for one, old in zip(done, targets, strict=True)
        )
        documents = sum(one.documents for one in done)
        pace = await self.written.manifest.measure_pace(_PACE_DOCUMENTS, now() - _PAUSED_S)
        left_s, dense = (total - documents) / pace if pace else None, self.searched.embedder is not None
        return IndexGrowth(documents, total, left_s, dense=dense)

    async def close(self) -> None:
        """Close every store, and the embedders of old indexes."""
        while self._stores:
            await self._stores.pop().close()
        while self._previous:
            await self._previous.popitem()[1].close()

    async def _adopt_indexes(self, kind: str) -> None:
        """Take over the indexes that the store already has in this namespace."""
        store = self._new_store(kind)
        try:
            await self.manifest.adopt_indexes(kind, await store.list_indexes())
        finally:
            await store.close()

    async def _search_the_active(self) -> None:
        active = next((row for row in await self.manifest.list_indexes() if row.active), None)
        if active is None or active.id == self.searched.row.id == self.written.row.id:
            return
        if active.id == self.written.row.id:
            self._settle_indexes()
            return
        async with self._following:
            if active.id not in {self.searched.row.id, *self._shut}:
                await self._search_index(active)

    async def _search_index(self, active: IndexRow) -> None:
        """Search another index than the written one, unless this Kvasir cannot open it."""
        try:
            opened = await self._open_index(active)
        except StoreMisconfigured as error:
            _log.warning("%s", error)
            self._shut.add(active.id)
            return
        self.searched = replace(opened, embedder=await self._find_embedder(active.embedder))
        if self.is_settled:
            self.written = replace(self.written, row=replace(self.written.row, active=False))

    async def _find_embedder(self, identity: str) -> Embedder | None:
        """Return the embedder of an index; None if it cannot be opened, so that words alone find its passages."""
        if identity == self._embedder.identity:
            return self._embedder
        try:
            opened = self._previous.get(identity) or await self._open_previous(identity)
        except Exception as error:  # noqa: BLE001 - the errors of ``unpack_wheel`` are not of this package
            _log.warning("Words alone find passages until the new index is complete. %s", error)
            return None
        if opened is not None:
            self._previous[identity] = opened
        return opened

    async def _drop_index(self, row: IndexRow, manifest: Manifest, guard: Callable[[Store], Store]) -> None:
        """Delete an index. If its store does not answer, the next sync tries again."""
        try:
            store = self._new_store(row.store)
        except StoreMisconfigured as error:
            _log.warning("The old index %s stays in the store %s. %s", row.name, row.store, error)
            await manifest.forget_index(row)
            return
        try:
            await guard(store).drop_index(row.name)
        except StoreError as error:
            _log.warning("The old index %s is not deleted yet: %s", row.name, error)
            return
        finally:
            await store.close()
        await manifest.forget_index(row)

    async def _open_missing(self) -> None:
        async with self._following:
            if self.is_missing:
                opened, before = await self._open_index(self.written.row), self.written
                await self.manifest.record_dimensions(opened.row, self._embedder.dimensions)
                self.written = opened
                if self.searched is before:
                    self.searched = opened

    async def _open_index(self, row: IndexRow) -> OpenIndex:
        dimensions = row.dimensions or self._embedder.dimensions
        if not dimensions:
            return OpenIndex(
                row, cast("Store", _MissingStore(self._embedder)), self.manifest.open_index(row), self._embedder
            )
        store = self._new_store(row.store)
        try:
            await store.open(row.name, dimensions)
        except BaseException:
            await store.close()
            raise
        self._stores.append(store)
        return OpenIndex(row, store, self.manifest.open_index(row), self._embedder)

    async def _is_complete(self, sources: Sequence[SourceKey]) -> bool:
        """Return whether every source was synced, none of them longer ago than in the active index.

        An index that was interrupted and continues later has old readers and documents.
        """
        active = next((row for row in await self.manifest.list_indexes() if row.active), self.written.row)
        times = [(await self.written.manifest.count_source(key)).listed_at for key in sources]
        before = [(await self.manifest.open_index(active).count_source(key)).listed_at or 0.0 for key in sources]
        # A time in the future comes from a clock that was wrong.
        now = self.manifest.database.now()
        return all(new is not None and not new < old <= now for new, old in zip(times, before, strict=True))

    def _settle_indexes(self) -> None:
        row = replace(self.written.row, active=True)
        self.searched = self.written = OpenIndex(row, self.written.store, self.written.manifest, self._embedder)
