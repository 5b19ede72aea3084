"""Make store and manifest agree again, after a sync that died or a store that was restored from a backup.

There are three checks: two counts at each sync, every id if the counts differ, and every row each night. Repair fixes
what it can from the manifest. The plan that follows reads the other documents again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from knowledge.dates import count_days
from knowledge.interfaces import Store, StoredChunk, make_class_key, number_readers
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.records import ChunkRow, LastRepair, decode_readers, is_intact
from knowledge.sync.manifest.rows import slice_items, to_seconds
from knowledge.sync.manifest.running_backups import RunningBackups
from knowledge.sync.running.pipeline import discard_rows

_log = logging.getLogger(__name__)

_AT_ONCE = 2000
_MOST_SURPLUS = 200_000
"""Surplus rows that one comparison deletes, so that its memory is bounded; the next one deletes more."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How many chunks of store and manifest differed in a comparison."""

    surplus: int = 0
    """Rows that no document lists. They are deleted."""
    missing: int = 0
    """Rows that the store lacks or has twice. Their documents are read again."""
    wrong: int = 0
    """Rows with another text. They are deleted, and their documents are read again."""
    stale: int = 0
    """Rows with another audience, format or date. They are written again from the manifest."""

    @property
    def differences(self) -> int:
        """Return the number of all differences."""
        return self.surplus + self.missing + self.wrong + self.stale

    @property
    def repairs(self) -> int:
        """Return the number of differences that were repaired at once."""
        return self.surplus + self.stale


async def clean_up(store: Store, manifest: IndexManifest) -> int:
    """Delete pending rows, then compare the counts; on a difference, ``repair_index``.

    Costs two counts if nothing is wrong. Returns how many chunks differed, without the pending ones. While a backup is
    being made, it does nothing.

    Raises:
        StoreError, DatabaseError: that side failed. Nothing is lost.

    """
    backups = RunningBackups(manifest.database)
    while not (is_needed := await backups.is_any_running()) and (ids := await manifest.list_pending_chunks(_AT_ONCE)):
        await discard_rows(store, manifest, ids)
    if is_needed or await store.count() == await manifest.count_chunks():
        return 0
    return (await repair_index(store, manifest)).differences


async def repair_index(
    store: Store, manifest: IndexManifest, *, thorough: bool = False, now: Callable[[], float] = time.time
) -> Drift:
    """Compare every id, and every row if ``thorough``; repair, and record it in the manifest.

    No sync may be running. Memory: nine bytes for each chunk, and a few thousand rows.

    Raises:
        BackupRunning: a backup needs all rows as they are.
        StoreError, DatabaseError: that side failed. Nothing is lost.

    """
    await RunningBackups(manifest.database).refuse_running()
    drift = await _compare_ids(store, manifest)
    if thorough:
        wrong, stale = await _compare_rows(store, manifest)
        drift = replace(drift, wrong=wrong, stale=stale)
        if await manifest.repair_counters():
            _log.warning("The manifest's counters of documents were wrong, and were counted again.")
    await manifest.record_repair(LastRepair(now(), drift.differences, drift.repairs))
    return drift


async def _compare_ids(store: Store, manifest: IndexManifest) -> Drift:
    hashes = await _list_hashes(manifest)
    stored = np.zeros(len(hashes), bool)  # two ids with one hash only cost that a document is read again
    surplus: list[str] = []
    async for ids in store.list_ids():
        wanted = _hash_ids(ids)
        places = np.searchsorted(hashes, wanted)
        known = np.flatnonzero((hashes[places] == wanted) & ~stored[places])
        is_surplus = np.ones(len(ids), bool)
        is_surplus[known[np.unique(places[known], return_index=True)[1]]] = False
        stored[places[known]] = True
        surplus += np.array(ids, object)[is_surplus][: _MOST_SURPLUS - len(surplus)].tolist()
    twice = {row.id for some in slice_items(surplus) for row in await manifest.find_chunk_rows(some)}
    # One transaction for each part, because all together may exceed the time limit.
    for some in slice_items(twice, _AT_ONCE):
        await manifest.mark_lost_chunks(some)
    missing = len(twice)
    if not stored[:-1].all():
        missing += await _mark_missing(store, manifest, hashes, stored)
    for some in slice_items(surplus, _AT_ONCE):
        await store.delete(some)
    return Drift(surplus=len(set(surplus) - twice), missing=missing)


async def _mark_missing(
    store: Store, manifest: IndexManifest, hashes: NDArray[np.int64], stored: NDArray[np.bool_]
) -> int:
    """Mark the chunks that the store lacks as lost; return how many."""
    missing = 0
    async for page in _list_pages(manifest):
        unseen = ~stored[np.searchsorted(hashes, _hash_ids(page))]
        if gone := await _confirm_missing(store, np.array(page)[unseen].tolist()):
            await manifest.mark_lost_chunks(gone)
            missing += len(gone)
    return missing


async def _list_hashes(manifest: IndexManifest) -> NDArray[np.int64]:
    """Return the hashes of all current chunks in order, and a last one; eight bytes each, without a copy."""
    hashes = array("q")
    async for page in _list_pages(manifest):
        hashes.extend(map(hash, page))
    hashes.append(np.iinfo(np.int64).max)
    ordered = np.frombuffer(hashes, np.int64)
    await asyncio.to_thread(ordered.sort)
    return ordered


def _hash_ids(ids: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, ids), np.int64, len(ids))


async def _list_pages(manifest: IndexManifest) -> AsyncIterator[list[str]]:
    """Yield the ids of all chunks in their order."""
    after = ""
    while page := await manifest.list_chunk_ids(after, _AT_ONCE):
        yield page
        after = page[-1]


async def _confirm_missing(store: Store, ids: Collection[str]) -> set[str]:
    """Return the ids that the store lacks, asking for each: a cluster's listing may leave out rows."""
    gone = set(ids)
    for some in slice_items(ids, _AT_ONCE):
        gone.difference_update(row.chunk.id for row in await store.read_rows(some))
    return gone


async def _compare_rows(store: Store, manifest: IndexManifest) -> tuple[int, int]:
    """Return how many rows had another text, and how many another audience, format or date."""
    wrong = stale = 0
    async for some in _list_pages(manifest):
        listed = {row.id: row for row in await manifest.find_chunk_rows(some)}
        stored = [row for row in await store.read_rows(some) if row.chunk.id in listed]
        bad = [row.chunk.id for row in stored if not _is_text_of(row, listed[row.chunk.id])]
        if bad:
            await manifest.mark_lost_chunks(bad)
            await store.delete(bad)
        right = [row for row in stored if row.chunk.id not in set(bad)]
        rewritten = list(_rewrite_rows(right, listed, numbered=hasattr(store, "is_numbered")))
        if rewritten:
            await store.write(rewritten)
        wrong, stale = wrong + len(bad), stale + len(rewritten)
    return wrong, stale


def _is_text_of(row: StoredChunk, listed: ChunkRow) -> bool:
    same = is_intact(row.chunk, listed.text_hash)
    return same and (row.chunk.source, row.chunk.document) == (listed.source, listed.document)


def _rewrite_rows(
    stored: Sequence[StoredChunk], listed: dict[str, ChunkRow], *, numbered: bool
) -> Iterator[StoredChunk]:
    for row in stored:
        current = listed[row.chunk.id]
        readers, chunk = decode_readers(current.readers), row.chunk
        audience, numbers = make_class_key(readers), number_readers(readers) if numbered else chunk.principals
        if (chunk.audience, chunk.kind, count_days(to_seconds(chunk.modified_at))) != (
            audience,
            current.kind,
            count_days(current.modified_at),
        ) or chunk.principals != numbers:
            modified_at = None if current.modified_at is None else datetime.fromtimestamp(current.modified_at, UTC)
            written = replace(chunk, audience=audience, kind=current.kind, modified_at=modified_at, principals=numbers)
            yield replace(row, chunk=written)
