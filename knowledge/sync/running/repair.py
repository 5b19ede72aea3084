"""Make store and manifest agree again, after a sync that died or a store that was put back from a copy.

Three looks, from cheap to thorough: two counts at each sync; every id once they differ; every row, nightly. What is
wrong is mended where that can be done from the manifest alone. The rest is read again by the plan that follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from knowledge.interfaces import Store, StoredChunk
from knowledge.sync.manifest.manifest import IndexManifest
from knowledge.sync.manifest.records import ChunkRow, Repaired, decode_readers, text_hash
from knowledge.sync.manifest.rows import portions, seconds
from knowledge.sync.running.pipeline import discard

_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Drift:
    """How many chunks store and manifest differed by, when they were compared."""

    surplus: int = 0
    """Rows that no document lists: deleted."""
    missing: int = 0
    """Rows that the store lacks, or has twice: their documents are read again."""
    wrong: int = 0
    """Rows with another text: deleted, and their documents are read again."""
    stale: int = 0
    """Rows with another audience, format or date: written again as the manifest has them."""

    @property
    def differed(self) -> int:
        """Return how many there were together."""
        return self.surplus + self.missing + self.wrong + self.stale

    @property
    def mended(self) -> int:
        """Return how many were mended at once."""
        return self.surplus + self.stale


async def clean(
    store: Store, manifest: IndexManifest, *, thorough: bool = False, now: Callable[[], float] = time.time
) -> int:
    """Delete what died syncs left, then count both sides; on a difference, or when ``thorough``, ``repair``.

    Costs two counts when nothing is wrong. Returns how many chunks differed, those of ``pending`` not counted.

    Raises:
        StoreError, ManifestError: that side failed; nothing is lost by it.

    """
    while ids := await manifest.pending(_AT_ONCE):
        await discard(store, manifest, ids)
    if not thorough and await store.count() == await manifest.count_chunks():
        return 0
    return (await repair(store, manifest, thorough=thorough, now=now)).differed


async def repair(
    store: Store, manifest: IndexManifest, *, thorough: bool = False, now: Callable[[], float] = time.time
) -> Drift:
    """Compare every id of both sides, when ``thorough`` every row too; mend, and note it in the manifest.

    No sync may be running. Memory: the ids of the index, and a few thousand rows.
    """
    drift = await _compare_ids(store, manifest)
    if thorough:
        wrong, stale = await _compare_rows(store, manifest)
        drift = replace(drift, wrong=wrong, stale=stale)
    await manifest.note_repaired(Repaired(now(), drift.differed, drift.mended))
    return drift


async def _compare_ids(store: Store, manifest: IndexManifest) -> Drift:
    missing = await manifest.chunk_ids()
    surplus: list[str] = []
    async for ids in store.ids():
        for id_ in ids:
            if id_ in missing:
                missing.remove(id_)
            else:
                surplus.append(id_)
    missing = await _really_missing(store, missing)
    twice = {row.id for some in portions(surplus) for row in await manifest.rows_of(some)}
    for some in _slices(missing | twice):
        await manifest.lose(some)  # A transaction for each: all of them at once might take longer than one may.
    if surplus:
        await store.delete(surplus)
    return Drift(surplus=len(set(surplus) - twice), missing=len(missing | twice))


async def _really_missing(store: Store, ids: Collection[str]) -> set[str]:
    """Ask for each by its id: a walk through a cluster may leave out what a copy of it has."""
    gone = set(ids)
    for some in _slices(ids):
        gone.difference_update(row.chunk.id for row in await store.rows(some))
    return gone


async def _compare_rows(store: Store, manifest: IndexManifest) -> tuple[int, int]:
    """Return how many rows had another text, and how many another audience, format or date."""
    wrong = stale = 0
    for some in _slices(sorted(await manifest.chunk_ids())):
        listed = {row.id: row for row in await manifest.rows_of(some)}
        stored = [row for row in await store.rows(some) if row.chunk.id in listed]
        bad = [row.chunk.id for row in stored if not _is_text_of(row, listed[row.chunk.id])]
        if bad:
            await manifest.lose(bad)
            await store.delete(bad)
        rewritten = list(_rewritten([row for row in stored if row.chunk.id not in set(bad)], listed))
        if rewritten:
            await store.write(rewritten)
        wrong, stale = wrong + len(bad), stale + len(rewritten)
    return wrong, stale


def _is_text_of(row: StoredChunk, listed: ChunkRow) -> bool:
    same = listed.text_hash in {"", text_hash(row.chunk.searchable)}
    return same and (row.chunk.source, row.chunk.document) == (listed.source, listed.document)


def _rewritten(stored: Sequence[StoredChunk], listed: dict[str, ChunkRow]) -> Iterator[StoredChunk]:
    for row in stored:
        wanted = listed[row.chunk.id]
        readers = decode_readers(wanted.readers)
        if (row.chunk.readers, row.chunk.kind, _day(seconds(row.chunk.modified_at))) != (
            readers,
            wanted.kind,
            _day(wanted.modified_at),
        ):
            modified_at = None if wanted.modified_at is None else datetime.fromtimestamp(wanted.modified_at, UTC)
            yield replace(row, chunk=replace(row.chunk, readers=readers, kind=wanted.kind, modified_at=modified_at))


def _day(moment_s: float | None) -> int | None:
    """Return what a filter by date tells apart; a sync does not write rows again for less."""
    return None if moment_s is None else int(moment_s // 86_400)


def _slices(ids: Collection[str]) -> Iterator[list[str]]:
    every = list(ids)
    return (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE))
