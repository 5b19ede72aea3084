"""What keeps the old index safe while a new one grows: it takes in nothing, but loses what is gone or forbidden.

The old index answers until the new one is whole, which may take days where a source is away. Its texts may be as old as
that; who may read them, and that they are still there, may not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowledge.interfaces import ListedDocument, SourceKey, Store
from knowledge.sync.manifest.manifest import IndexManifest
from knowledge.sync.manifest.records import KnownDocument, decode_readers, encode_readers, intersect_readers
from knowledge.sync.manifest.rows import slice_items
from knowledge.sync.plan import AddDocument, DocumentRead, SyncPlan, make_plan
from knowledge.sync.running.pipeline import discard_rows


@dataclass(frozen=True, slots=True)
class ShadowIndex:
    """The index that answers beside the one that grows."""

    store: Store
    manifest: IndexManifest

    async def mark(
        self,
        key: SourceKey,
        listing: Mapping[str, ListedDocument],
        *,
        now: float,
        complete: bool,
        approve: Collection[str],
    ) -> SyncPlan:
        """Narrow the audiences that a listing narrows and hold what it lacks; returns what it asks for beside that.

        Raises:
            ManifestError: the manifest's database failed.

        """
        known = await self.manifest.list_documents(key)
        todo = make_plan(listing, known, now=now, complete=complete, approve=approve)
        await self._hold(todo, now)
        await self.manifest.mark_pending_deletions([row.row for row in todo.restored], None)
        await self.manifest.restrict_readers(dict(find_restricted(todo.reads)))
        return todo

    async def let_go(self, key: SourceKey, todo: SyncPlan, growing: IndexManifest, now: float) -> None:
        """Delete what is gone, unless the growing index has the same bytes under another name: then that is a rename.

        Raises:
            StoreError, ManifestError: that side failed; what is left is deleted by the next sync.

        """
        await self._hold(todo, now)
        elsewhere = {row.sha256: row for row in await growing.list_documents(key) if row.sha256}
        gone = (*todo.approved, *todo.deletes)
        renamed = [(row, elsewhere[row.sha256]) for row in gone if row.sha256 in elsewhere]
        await self.manifest.restrict_readers({row.row: _intersect_readers(row, other) for row, other in renamed})
        for rows in slice_items([row.row for row in gone if row.sha256 not in elsewhere]):
            await discard_rows(self.store, self.manifest, await self.manifest.remove_documents(rows))

    async def _hold(self, todo: SyncPlan, now: float) -> None:
        await self.manifest.mark_pending_deletions(
            [row.row for row in todo.pending_deletions if not row.pending_deletion], now
        )


def find_restricted(reads: Sequence[DocumentRead]) -> Iterator[tuple[int, str]]:
    """Yield the documents whose audience changes, with the readers who may see both the old rows and the new."""
    for read in reads:
        if not isinstance(read, AddDocument) and encode_readers(read.listed.readers) != read.known.readers:
            yield (
                read.known.row,
                encode_readers(intersect_readers(decode_readers(read.known.readers), read.listed.readers)),
            )


def _intersect_readers(one: KnownDocument, other: KnownDocument) -> str:
    return encode_readers(intersect_readers(decode_readers(one.readers), decode_readers(other.readers)))
