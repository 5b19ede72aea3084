"""Make store and manifest agree again, after a sync that died or a store that was put back from a copy."""

from __future__ import annotations

from knowledge.interfaces import Store
from knowledge.sync.pipeline import discard
from knowledge.sync.state import IndexManifest

_AT_ONCE = 2000


async def clean(store: Store, manifest: IndexManifest) -> int:
    """Delete what died syncs left, then count both sides; on a difference, ``repair``.

    Costs two counts when nothing is wrong. Returns how many chunks differed, those of ``pending`` not counted.
    """
    while ids := await manifest.pending(_AT_ONCE):
        await discard(store, manifest, ids)
    if await store.count() == await manifest.count_chunks():
        return 0
    return await repair(store, manifest)


async def repair(store: Store, manifest: IndexManifest) -> int:
    """Compare every id of both sides: surplus rows are deleted, documents that lack rows are read again next.

    Returns how many chunks were on one side only.
    """
    missing = await manifest.chunk_ids()
    surplus: list[str] = []
    async for ids in store.ids():
        surplus += [id_ for id_ in ids if id_ not in missing]
        missing.difference_update(ids)
    if surplus:
        await store.delete(surplus)
    if missing:
        await manifest.lose(missing)
    return len(surplus) + len(missing)
