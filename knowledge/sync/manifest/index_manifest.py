"""One index in the manifest: its sources, documents and chunks, and the changes that a sync makes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from knowledge.database.database import transaction
from knowledge.errors import ErrorCode, KnowledgeError
from knowledge.interfaces import SourceKey, narrow_readers
from knowledge.sync.manifest import tables
from knowledge.sync.manifest.counters import find_wrong_counters, replace_counters
from knowledge.sync.manifest.lookups import Lookups
from knowledge.sync.manifest.records import (
    FailedDocument,
    IndexedDocument,
    LastRepair,
    SourceOrigin,
    UnchangedDocument,
    decode_readers,
    encode_readers,
    hash_text,
    make_memory_key,
    mark_unsettled,
)
from knowledge.sync.manifest.rows import (
    make_failed_values,
    make_indexed_values,
    make_unread_values,
    put_documents,
    slice_items,
    update_documents,
)

_CHECK_S = 30.0
"""It is longer than a check of rights takes."""
_RIGHTS_ROWS = 5_000
"""The documents whose time of rights one transaction changes, so that other writers wait a moment alone."""


class IndexManifest(Lookups):
    """The sources, documents and chunks of one index, with the changes that a sync makes, in the order of its steps."""

    async def drop_sources(self, keys: Collection[str]) -> int:
        """Delete sources with their memories; their chunks become pending. Return how many were deleted."""
        stale = select(tables.sources.c.id).where(
            tables.sources.c.index_id == self._index, tables.sources.c.key.in_(keys)
        )
        return await self._drop_sources(stale, keys) if await self.database.fetch_rows(stale) else 0

    async def drop_empty_sources(self, keys: Collection[str]) -> int:
        """Delete the sources without documents that are not in ``keys``, and memories of no source. Return how many."""
        documents = select(tables.documents.c.id).where(tables.documents.c.source_id == tables.sources.c.id)
        empty = select(tables.sources.c.key).where(
            tables.sources.c.index_id == self._index, tables.sources.c.key.not_in(keys), ~documents.exists()
        )
        found = [key for (key,) in await self.database.fetch_rows(empty)]
        dropped = await self.drop_sources(found) if found else 0
        memory, prefix = tables.memories.c.source, make_memory_key(self._namespace, "")
        known = select(literal(prefix) + tables.sources.c.key)
        is_ours = memory.startswith(prefix, autoescape=True) if prefix else ~memory.contains("\x1e")
        configured = [make_memory_key(self._namespace, key) for key in keys]
        forgotten = is_ours & memory.not_in(configured) & memory.not_in(known)
        if await self.database.fetch_rows(select(memory).where(forgotten).limit(1)):
            await self.database.write(lambda connection: connection.execute(delete(tables.memories).where(forgotten)))
        return dropped

    @transaction
    def add_pending_chunks(self, connection: Connection, ids: Collection[str]) -> None:
        """Store ids that are about to be written."""
        self._note_pending(connection, ids)

    @transaction
    def forget_pending_chunks(self, connection: Connection, ids: Collection[str]) -> None:
        """Delete pending ids that the store no longer has."""
        self._clear_pending(connection, ids)

    @transaction
    def mark_lost_chunks(self, connection: Connection, ids: Collection[str]) -> None:
        """Delete chunks that the store lost. The next plan reads their documents again."""
        left = select(func.count()).where(tables.chunks.c.document_id == tables.documents.c.id).scalar_subquery()
        for some in slice_items(ids):
            these = self._match_ids(tables.chunks, some)
            theirs = set(connection.execute(select(tables.chunks.c.document_id).where(these)).scalars())
            connection.execute(delete(tables.chunks).where(these))
            connection.execute(
                update(tables.documents)
                .where(tables.documents.c.id.in_(theirs))
                .values(version="", sha256="", chunks=left)
            )

    async def restrict_readers(self, readers: Mapping[int, str], listed: Mapping[int, str] | None = None) -> None:
        """Set documents' readers some at a time, before their chunks are rewritten; until then a plan contains that.

        ``listed`` has the readers with which a sync will rewrite them, so that they are found all the time.
        """
        for some in slice_items(readers):
            await self._restrict_some({row: readers[row] for row in some}, listed or {})

    @transaction
    def _restrict_some(self, connection: Connection, readers: Mapping[int, str], listed: Mapping[int, str]) -> None:
        document = tables.documents.c
        before = connection.execute(select(document.id, document.url, document.readers).where(document.id.in_(readers)))
        marks = {row: mark_unsettled(url, old, listed.get(row, old)) for row, url, old in before}
        update_documents(
            connection,
            [
                {"row": row, "readers": readers[row], "url": mark, "listed_readers": "", "rights_at": 0.0}
                for row, mark in marks.items()
            ],
        )

    @transaction
    def record_rights(
        self, connection: Connection, named: Mapping[int, frozenset[str]], at: float, now_s: float
    ) -> dict[int, str]:
        """Store the readers that a source named at a time, by the documents' rows. Return the readers from now on.

        These are among the readers with which the documents were indexed: wider ones may be meant for another version,
        and follow with the next sync. An answer that is older than a known one changes nothing, unless that one lies in
        the future (``now_s``), because the clock was set back.
        """
        documents, readers, values = tables.documents.c, dict[int, str](), list[dict[str, object]]()
        for some in slice_items(named):
            older = select(
                documents.id, documents.url, documents.readers, documents.listed_readers, documents.rights_at
            ).where(documents.id.in_(some))
            for row, url, before, listed, rights_at in connection.execute(older):
                base = listed or before
                readers[row] = now = before
                if not at <= rights_at <= now_s:
                    readers[row] = now = encode_readers(narrow_readers(decode_readers(base), named[row]))
                    mark = url if now == before else mark_unsettled(url, before)
                    values.append({"row": row, "before": before, "now": now, "base": base, "mark": mark})
        if values:
            unchanged = (documents.id == bindparam("row")) & (documents.readers == bindparam("before"))
            change = update(tables.documents).values(
                readers=bindparam("now"), listed_readers=bindparam("base"), url=bindparam("mark"), rights_at=at
            )
            connection.execute(change.where(unchanged), values)
        return readers

    async def mark_pending_deletions(self, rows: Collection[int], at: float | None) -> None:
        """Mark documents as pending deletion since a time; with None, as listed again."""
        await self._update_each([{"row": row, "held": at is not None, "held_at": at} for row in rows])

    async def record_unchanged(self, touched: Iterable[UnchangedDocument]) -> None:
        """Store that documents were read and have not changed."""
        await self._update_each(
            [{"row": t.row, "version": t.version, "read_at": t.read_at, "reason": None, "attempts": 0} for t in touched]
        )

    @transaction
    def switch_documents(
        self, connection: Connection, key: SourceKey, documents: Sequence[IndexedDocument]
    ) -> list[str]:
        """Make the chunks of documents current, in one transaction. Return the ids that no longer are."""
        source = self._ensure_source(connection, key)
        rows = put_documents(connection, source, {one.entry.document: make_indexed_values(one) for one in documents})
        return self._replace_chunks(connection, {rows[one.entry.document]: one for one in documents})

    @transaction
    def record_failures(self, connection: Connection, key: SourceKey, failed: Sequence[FailedDocument]) -> None:
        """Put documents into quarantine. Their current chunks keep answering."""
        source = self._ensure_source(connection, key)
        new = {one.entry.document: make_unread_values(one) for one in failed}
        put_documents(connection, source, {one.entry.document: make_failed_values(one) for one in failed}, new)

    @transaction
    def remove_documents(self, connection: Connection, rows: Collection[int]) -> list[str]:
        """Delete documents. Return the ids of their chunks, which are pending now."""
        old: list[str] = []
        for some in slice_items(rows):
            theirs = tables.chunks.c.document_id.in_(some)
            old += connection.execute(select(tables.chunks.c.id).where(theirs)).scalars()
            connection.execute(delete(tables.chunks).where(theirs))
            connection.execute(delete(tables.documents).where(tables.documents.c.id.in_(some)))
        self._note_pending(connection, old)
        return old

    @transaction
    def record_repair(self, connection: Connection, last_repair: LastRepair) -> None:
        """Store that store and manifest were compared, and count refused passages from 0 again."""
        values = {
            "refused": 0,
            "refused_at": None,
            "repaired_at": last_repair.at,
            "drift": last_repair.differences,
            "mended": last_repair.repairs,
        }
        connection.execute(update(tables.indexes).where(tables.indexes.c.id == self._index).values(values))

    async def repair_counters(self) -> bool:
        """Compare the counters of documents with a full count, and make them right. Return whether they were wrong."""
        # Most often nothing is wrong, so no writer waits for the count.
        return await self.database.read(self._find_wrong_counters) and await self._replace_wrong_counters()

    @transaction
    def add_refused(self, connection: Connection, passages: int, at: float) -> None:
        """Count passages that the store proposed to people who may not read them."""
        values = {"refused": tables.indexes.c.refused + passages, "refused_at": at}
        connection.execute(update(tables.indexes).where(tables.indexes.c.id == self._index).values(values))

    async def record_sync_end(
        self,
        key: SourceKey,
        *,
        listed_at: float | None,
        error: KnowledgeError | None,
        configured: str = "",
        origin: SourceOrigin | None = None,
        lists_rights: bool = False,
    ) -> None:
        """Store how a source's sync ended.

        ``listed_at`` is when its complete listing began, None if it was not completed. ``configured`` is the
        configuration of the readers (``SourceSpec.readers_key``), and ``origin`` with what the sync was made.
        ``lists_rights`` tells whether its listing counts as an answer of the source for all documents
        (``RightsSource.lists_rights``). These change some at a time before the source's row.
        """
        code = ErrorCode.OTHER if error is None else error.code
        values: dict[str, object] = {"error": None if error is None else str(error), "error_code": code.value}
        if listed_at is not None:
            values |= {"listed_at": listed_at, "configured": configured, **(origin or SourceOrigin())._asdict()}
        last: str | None = ""
        while last is not None and listed_at is not None and lists_rights:
            last = await self._record_listed_rights(key, listed_at, last)
        await self._update_source(key, values)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @transaction
    def _update_source(self, connection: Connection, key: SourceKey, values: Mapping[str, object]) -> None:
        source = self._ensure_source(connection, key)
        connection.execute(update(tables.sources).where(tables.sources.c.id == source).values(values))

    @transaction
    def _record_listed_rights(self, connection: Connection, key: SourceKey, listed_at: float, after: str) -> str | None:
        """Store that a listing named the readers of the next documents. Return the last one's name; None at the end."""
        documents = tables.documents.c
        theirs = (documents.source_id == self._ensure_source(connection, key)) & (documents.document > after)
        names = select(documents.document).where(theirs).order_by(documents.document)
        last: str | None = connection.execute(names.offset(_RIGHTS_ROWS - 1).limit(1)).scalar()
        # An answer that a check awaited when the listing began may have been stored after the plan was made.
        older = theirs & ~documents.held & (documents.rights_at < listed_at - _CHECK_S)
        some = older if last is None else older & (documents.document <= last)
        connection.execute(update(tables.documents).where(some).values(rights_at=listed_at))
        return last

    def _find_wrong_counters(self, connection: Connection) -> bool:
        return find_wrong_counters(connection, self._index)

    @transaction
    def _replace_wrong_counters(self, connection: Connection) -> bool:
        is_wrong = find_wrong_counters(connection, self._index)
        if is_wrong:
            replace_counters(connection, self._index)
        return is_wrong

    @transaction
    def _drop_sources(self, connection: Connection, stale: Select[int], keys: Collection[str]) -> int:
        self._retire_all(connection, stale)
        memories = [make_memory_key(self._namespace, key) for key in keys]
        connection.execute(delete(tables.memories).where(tables.memories.c.source.in_(memories)))
        gone = connection.execute(delete(tables.sources).where(tables.sources.c.id.in_(stale.scalar_subquery())))
        return int(gone.rowcount)

    def _ensure_source(self, connection: Connection, key: SourceKey) -> int:
        """Return the id of the source's row, and insert it if it is new."""
        mine = select(tables.sources.c.id).where(
            tables.sources.c.index_id == self._index, tables.sources.c.key == key.id
        )
        found = connection.execute(mine).scalar()
        if found is None:
            new = insert(tables.sources).values(index_id=self._index, key=key.id).returning(tables.sources.c.id)
            found = connection.execute(new).scalar_one()
        return int(found)

    def _replace_chunks(self, connection: Connection, documents: Mapping[int, IndexedDocument]) -> list[str]:
        """Replace the chunks of documents, given by their rows. Return the ids that are no longer current."""
        before: set[str] = set()
        for rows in slice_items(documents):
            theirs = tables.chunks.c.document_id.in_(rows)
            before.update(connection.execute(select(tables.chunks.c.id).where(theirs)).scalars())
            connection.execute(delete(tables.chunks).where(theirs))
        values = [
            {
                "id": chunk.id,
                "index_id": self._index,
                "document_id": row,
                "place": place,
                "heading": chunk.heading,
                "text_hash": hash_text(chunk.searchable_text),
            }
            for row, document in documents.items()
            for place, chunk in enumerate(document.chunks)
        ]
        if values:
            connection.execute(insert(tables.chunks), values)
        now = {chunk.id for document in documents.values() for chunk in document.chunks}
        self._clear_pending(connection, now)
        old = sorted(before - now)
        self._note_pending(connection, old)
        return old

    def _retire_all(self, connection: Connection, sources: Select[int]) -> None:
        """Make the chunks of sources pending. The database does it, because they may be millions."""
        documents = select(tables.documents.c.id).where(tables.documents.c.source_id.in_(sources))
        ours = select(tables.chunks.c.id, tables.chunks.c.index_id).where(tables.chunks.c.document_id.in_(documents))
        connection.execute(
            delete(tables.pending).where(self._match_ids(tables.pending, ours.with_only_columns(tables.chunks.c.id)))
        )
        connection.execute(insert(tables.pending).from_select(["id", "index_id"], ours))

    def _note_pending(self, connection: Connection, ids: Collection[str]) -> None:
        self._clear_pending(connection, ids)
        if ids:
            connection.execute(insert(tables.pending), [{"id": id_, "index_id": self._index} for id_ in ids])

    def _clear_pending(self, connection: Connection, ids: Collection[str]) -> None:
        for some in slice_items(ids):
            connection.execute(delete(tables.pending).where(self._match_ids(tables.pending, some)))

    def _match_ids(self, table: Table, ids: Sequence[str] | Select[str]) -> ColumnElement[bool]:
        return (table.c.id.in_(ids)) & (table.c.index_id == self._index)

    async def _update_each(self, values: list[dict[str, object]]) -> None:
        """Change documents, some in each transaction.

        PostgreSQL keeps each version of a counter until the transaction that wrote it ends, and reads past all of them.
        """
        for some in slice_items(values):
            await self.database.write(partial(update_documents, values=some))
