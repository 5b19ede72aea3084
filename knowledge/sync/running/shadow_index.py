"""Keep the old index safe while a new one grows: it gets no new documents, but loses deleted and forbidden ones.

The old index answers until the new one is complete, which may take days if a source is unavailable. Its texts may be
old, but its audiences and deletions must be current.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowledge.interfaces import ListedDocument, SourceKey, Store, narrow_readers
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.records import KnownDocument, decode_readers, encode_readers
from knowledge.sync.manifest.rows import slice_items
from knowledge.sync.plan import DocumentRead, Planner, SyncPlan
from knowledge.sync.running.pipeline import discard_rows


@dataclass(frozen=True, slots=True)
class ShadowIndex:
    """The index that answers while another one grows."""

    store: Store
    manifest: IndexManifest

    async def mark_changes(
        self,
        key: SourceKey,
        listing: Mapping[str, ListedDocument],
        *,
        now: float,
        complete: bool,
        trusted: bool,
        approve: Collection[str],
    ) -> SyncPlan:
        """Restrict audiences and mark pending deletions as a listing says. Return the plan for this index.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        todo = await plan_sync(
            self.manifest, key, listing, now=now, complete=complete, trusted=trusted, approve=approve
        )
        await mark_changes(self.manifest, todo, now)
        return todo

    async def delete_missing(self, key: SourceKey, todo: SyncPlan, growing: IndexManifest, now: float) -> None:
        """Delete missing documents.

        Keep those that the growing index has under another name, because they were renamed.

        Raises:
            StoreError, DatabaseError: that side failed. The next sync deletes the rest.

        """
        await mark_pending_deletions(self.manifest, todo, now)
        gone = (*todo.approved_deletions, *todo.deletes)
        hashes = {row.sha256 for row in gone if row.sha256}
        elsewhere: dict[str, KnownDocument] = {}
        if hashes:
            async for some in growing.list_documents_in_parts(key):
                elsewhere |= {row.sha256: row for row in some if row.sha256 in hashes}
        renamed = [(row, elsewhere[row.sha256]) for row in gone if row.sha256 in elsewhere]
        await self.manifest.restrict_readers({row.row: _narrow_readers(row, other) for row, other in renamed})
        for rows in slice_items([row.row for row in gone if row.sha256 not in elsewhere]):
            await discard_rows(self.store, self.manifest, await self.manifest.remove_documents(rows))


async def plan_sync(
    manifest: IndexManifest,
    key: SourceKey,
    listing: Mapping[str, ListedDocument],
    *,
    now: float,
    complete: bool,
    trusted: bool,
    approve: Collection[str],
) -> SyncPlan:
    """Return the plan of a source for an index, as ``Planner.make_plan``.

    Raises:
        DatabaseError: the manifest's database failed.

    """
    planner = Planner(listing, now=now)
    async for some in manifest.list_documents_in_parts(key):
        # In a thread, because 100 000 documents take a third of a second.
        await asyncio.to_thread(planner.add_records, some)
    return await asyncio.to_thread(planner.make_plan, complete=complete, trusted=trusted, approve=approve)


async def mark_changes(manifest: IndexManifest, todo: SyncPlan, now: float) -> None:
    """Record smaller audiences, which come first, pending deletions and returned documents. None needs reading."""
    restricted = dict(_find_restricted(todo.reads))
    await manifest.restrict_readers(
        {row: intersected for row, (intersected, _) in restricted.items()},
        {row: listed for row, (_, listed) in restricted.items()},
    )
    await mark_pending_deletions(manifest, todo, now)
    await manifest.mark_pending_deletions([row.row for row in todo.restored_documents], None)


async def mark_pending_deletions(manifest: IndexManifest, todo: SyncPlan, now: float) -> None:
    """Record the documents of a plan whose deletion waits for approval from now on."""
    await manifest.mark_pending_deletions([row.row for row in todo.pending_deletions if not row.pending_deletion], now)


def _find_restricted(reads: Sequence[DocumentRead]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield documents whose audience changes, with the readers of both the old and the new rows, and the new ones."""
    for read in reads:
        record, listed = read.record, encode_readers(read.entry.readers)
        if record is not None and listed != record.readers:
            both = narrow_readers(decode_readers(record.readers), read.entry.readers)
            yield record.row, (encode_readers(both), listed)


def _narrow_readers(one: KnownDocument, other: KnownDocument) -> str:
    return encode_readers(narrow_readers(decode_readers(one.readers), decode_readers(other.readers)))
