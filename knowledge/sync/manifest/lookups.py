"""Queries about one index, for searches, syncs and status. Nothing here writes."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, case, func, select

from knowledge.database.database import Database
from knowledge.errors import read_code
from knowledge.interfaces import EVERYONE, SourceKey
from knowledge.sync.manifest import tables
from knowledge.sync.manifest.records import (
    UNSETTLED,
    AudienceRow,
    ChunkRow,
    CurrentRow,
    DocumentHeading,
    DocumentRights,
    IndexRebuild,
    KnownDocument,
    LastRepair,
    ListedTitle,
    NamedDocument,
    Neighbours,
    PendingDeletion,
    QuarantinedDocument,
    RefusedPassages,
    SourceCounts,
    SourceOrigin,
    decode_readers,
    encode_readers,
    is_unsettled,
)
from knowledge.sync.manifest.rows import slice_items

_RIGHTS = select(
    tables.documents.c.id,
    tables.sources.c.key,
    tables.documents.c.document,
    tables.documents.c.readers,
    tables.documents.c.rights_at,
).join(tables.sources, tables.sources.c.id == tables.documents.c.source_id)
_NAMED = 20
"""Documents with the same title that are found at once."""
_AUDIENCES = 100
"""Audiences in one query for titles; a statement takes only so many values."""


class Lookups:
    """The sources, documents and chunks of one index, at the moment of each call.

    Every method raises ``DatabaseError`` when the database fails.
    """

    def __init__(self, database: Database, index: int, namespace: str = "") -> None:
        self.database = database
        self._index = index
        self._namespace = namespace

    # ── For searches ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def find_current(self, ids: Collection[str], keys: Collection[str]) -> list[CurrentRow]:
        """Return which chunks are current in a source of ``keys`` (``SourceKey.id``), all at one moment."""
        values = {"ids": list(ids), "keys": list(keys), "index": self._index}
        rows = await self.database.fetch_rows(tables.CURRENT, values)
        found = []
        for row in rows:
            read, held, reason, listed, configured, url = row[5:11]
            confirmed_at = _choose_confirmed_at(read, listed, doubted=held or reason is not None)
            found.append(
                CurrentRow._make((*row[:5], confirmed_at, *row[11:], not is_unsettled(url), "" if held else configured))
            )
        return found

    async def find_rights(self, rows: Collection[int]) -> list[DocumentRights]:
        """Return who may read these documents, given by their rows."""
        rights: list[DocumentRights] = []
        for some in slice_items(rows):
            these = await self.database.fetch_rows(_RIGHTS.where(tables.documents.c.id.in_(some)))
            rights += [DocumentRights._make(row) for row in these]
        return rights

    async def find_named_rights(self, key: SourceKey, documents: Collection[str]) -> list[DocumentRights]:
        """Return who may read some documents of a source."""
        these = tables.documents.c.document.in_(list(documents))
        return [
            DocumentRights._make(row)
            for row in await self.database.fetch_rows(_RIGHTS.where(*_was_read(self._index, key), these))
        ]

    async def read_origin(self, key: str) -> SourceOrigin:
        """Return with what the last complete sync of a source was made (``SourceKey.id``)."""
        query = select(tables.sources.c.place, tables.sources.c.configuration).where(
            tables.sources.c.index_id == self._index, tables.sources.c.key == key
        )
        rows = await self.database.fetch_rows(query)
        return SourceOrigin._make(rows[0]) if rows else SourceOrigin()

    async def list_oldest_rights(self, key: SourceKey, *, before: float, limit: int) -> list[DocumentRights]:
        """Return restricted documents of a source whose readers were named before a time, the oldest first.

        Documents for all full members are left out, those that nobody could read at their last listing, and pending
        deletions. The source may not see them here, and they would always be the oldest.
        """
        query = (
            _RIGHTS.where(
                *_was_read(self._index, key),
                ~tables.documents.c.held,
                tables.documents.c.rights_at < before,
                ~tables.documents.c.readers.contains('"*"'),
                (tables.documents.c.readers != encode_readers(frozenset())) | (tables.documents.c.listed_readers != ""),
            )
            .order_by(tables.documents.c.rights_at, tables.documents.c.id)
            .limit(limit)
        )
        return [DocumentRights._make(row) for row in await self.database.fetch_rows(query)]

    async def list_audiences(self) -> frozenset[AudienceRow]:
        """Return every audience that a document with passages has."""
        unsettled = case((tables.documents.c.url.startswith(UNSETTLED), tables.documents.c.url), else_="")
        query = (
            select(tables.sources.c.key, tables.documents.c.readers, unsettled)
            .join(tables.sources)
            .where(tables.sources.c.index_id == self._index, tables.documents.c.chunks > 0)
            .distinct()
        )
        # In the database's thread, because there may be thousands.
        return await self.database.read(lambda connection: frozenset(map(AudienceRow._make, connection.execute(query))))

    async def list_headings(self, keys: Collection[str], limit: int) -> list[DocumentHeading]:
        """Return the first chunk of each heading, in the order of documents and places, at most ``limit``.

        Only of documents that everybody may read, because suggestions are shown to everybody.
        """
        query = (
            select(
                tables.documents.c.document,
                tables.documents.c.title,
                tables.chunks.c.heading,
                tables.chunks.c.id,
                tables.sources.c.key,
            )
            .join(tables.documents, tables.documents.c.id == tables.chunks.c.document_id)
            .join(tables.sources, tables.sources.c.id == tables.documents.c.source_id)
            .where(
                tables.chunks.c.index_id == self._index,
                tables.sources.c.key.in_(keys),
                tables.documents.c.readers == encode_readers(EVERYONE),
            )
            .order_by(tables.sources.c.key, tables.documents.c.document, tables.chunks.c.place)
            .limit(limit)
        )
        first: dict[tuple[str, str, str], DocumentHeading] = {}
        for row in await self.database.fetch_rows(query):
            heading = DocumentHeading(*tuple(row))
            first.setdefault((heading.source, heading.document, heading.heading), heading)
        return list(first.values())

    async def find_neighbours(self, ids: Collection[str], reach: int) -> dict[str, Neighbours]:
        """Return up to ``reach`` current chunks before and after each one in its document, with one query.

        Ids that are not current are left out. A person who may read a chunk may read its neighbours, because they
        belong to the same document.
        """
        values = {"ids": list(ids), "index": self._index, "reach": reach}
        around: dict[str, tuple[list[str], list[str]]] = {}
        for id_, near, distance in await self.database.fetch_rows(tables.NEIGHBOURS, values):
            before, after = around.setdefault(id_, ([], []))
            if distance:
                (before if distance < 0 else after).append(near)
        return {id_: Neighbours(tuple(before), tuple(after)) for id_, (before, after) in around.items()}

    # ── For a sync ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_pending_chunks(self, limit: int) -> list[str]:
        """Return ids that the store may still have although no document lists them."""
        query = select(tables.pending.c.id).where(tables.pending.c.index_id == self._index).limit(limit)
        return [id_ for (id_,) in await self.database.fetch_rows(query)]

    async def count_chunks(self) -> int:
        """Count the current chunks of the whole index."""
        query = select(func.count()).select_from(tables.chunks).where(tables.chunks.c.index_id == self._index)
        return int((await self.database.fetch_rows(query))[0][0])

    async def list_chunk_ids(self, after: str = "", limit: int | None = None) -> list[str]:
        """Return the ids of the current chunks of the index that come after one, in order, at most ``limit``."""
        ours = (tables.chunks.c.index_id == self._index) & (tables.chunks.c.id > after)
        query = select(tables.chunks.c.id).where(ours).order_by(tables.chunks.c.id).limit(limit)
        return [id_ for (id_,) in await self.database.fetch_rows(query)]

    async def list_documents(self, key: SourceKey) -> list[KnownDocument]:
        """Return every document of a source."""
        query = tables.KNOWN.join(tables.sources).where(
            tables.sources.c.index_id == self._index, tables.sources.c.key == key.id
        )
        return [KnownDocument._make(row) for row in await self.database.fetch_rows(query)]

    async def list_document_chunks(self, row: int) -> set[str]:
        """Return the ids of a document's current chunks."""
        return {
            id_
            for (id_,) in await self.database.fetch_rows(
                select(tables.chunks.c.id).where(tables.chunks.c.document_id == row)
            )
        }

    async def find_chunk_rows(self, ids: Collection[str]) -> list[ChunkRow]:
        """Return what the store's rows of those chunks should contain that are current."""
        rows: list[ChunkRow] = []
        for some in slice_items(ids):
            values = {"ids": some, "index": self._index}
            rows += [ChunkRow._make(row) for row in await self.database.fetch_rows(tables.CHUNK_ROWS, values)]
        return rows

    async def find_vectors(self, hashes: Collection[str]) -> dict[str, str]:
        """Return the id of one current chunk for each ``records.hash_text`` that any current chunk has.

        The store has that chunk's vector, so a copy need not be embedded. If the chunk is deleted meanwhile,
        ``Store.read_rows`` leaves it out.
        """
        ids: dict[str, str] = {}
        for some in slice_items([one for one in set(hashes) if one]):
            theirs = (tables.chunks.c.index_id == self._index) & tables.chunks.c.text_hash.in_(some)
            one_of_each = (
                select(tables.chunks.c.text_hash, func.min(tables.chunks.c.id))
                .where(theirs)
                .group_by(tables.chunks.c.text_hash)
            )
            ids.update((hash_, id_) for hash_, id_ in await self.database.fetch_rows(one_of_each))
        return ids

    # ── For status ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def count_source(self, key: SourceKey) -> SourceCounts:
        """Return figures about a source."""
        mine = (tables.sources.c.index_id == self._index, tables.sources.c.key == key.id)
        rows = await self.database.fetch_rows(
            select(
                tables.sources.c.id,
                tables.sources.c.listed_at,
                tables.sources.c.error,
                tables.sources.c.error_code,
                tables.sources.c.configured,
            ).where(*mine)
        )
        if not rows:
            return SourceCounts()
        source, listed_at, error, code, configured = rows[0]
        counted = await self.database.fetch_rows(
            select(
                func.count().filter(tables.documents.c.read_at > 0.0),
                func.coalesce(func.sum(tables.documents.c.chunks), 0),
                func.count().filter(tables.documents.c.reason.is_not(None)),
                func.count().filter(tables.documents.c.held),
            ).where(tables.documents.c.source_id == source)
        )
        documents, chunks, failed, held = counted[0]
        return SourceCounts(documents, chunks, failed, held, listed_at, error, read_code(code), configured)

    async def count_other_sources(self, keys: Collection[str]) -> list[tuple[str, int, int]]:
        """Return all sources with documents that are not in ``keys``: their keys, documents and chunks."""
        query = (
            select(tables.sources.c.key, func.count(), func.coalesce(func.sum(tables.documents.c.chunks), 0))
            .join(tables.documents, tables.documents.c.source_id == tables.sources.c.id)
            .where(tables.sources.c.index_id == self._index, tables.sources.c.key.not_in(keys))
            .group_by(tables.sources.c.key)
            .order_by(tables.sources.c.key)
        )
        return [(key, documents, chunks) for key, documents, chunks in await self.database.fetch_rows(query)]

    async def count_audiences(self, key: SourceKey) -> dict[str, int]:
        """Return how many read documents each audience has, by its ``encode_readers``."""
        query = (
            select(tables.documents.c.readers, func.count())
            .join(tables.sources)
            .where(*_was_read(self._index, key))
            .group_by(tables.documents.c.readers)
        )
        return dict(tuple(row) for row in await self.database.fetch_rows(query))

    async def list_readers(self, key: SourceKey) -> list[tuple[str, str]]:
        """Return all read documents of a source, each with its ``encode_readers``."""
        query = (
            select(tables.documents.c.document, tables.documents.c.readers)
            .join(tables.sources)
            .where(*_was_read(self._index, key))
        )
        return [(document, readers) for document, readers in await self.database.fetch_rows(query)]

    async def find_named(self, key: SourceKey, *, document: str | None, title: str) -> list[NamedDocument]:
        """Return the read documents of a source with this name, or this title in any case."""
        named = func.lower(tables.documents.c.title) == title.lower()
        listed = tables.documents.c.listed_readers
        query = (
            select(
                tables.documents.c.document,
                tables.documents.c.title,
                case((listed != "", listed), else_=tables.documents.c.readers),
            )
            .join(tables.sources)
            .where(*_was_read(self._index, key), named if document is None else tables.documents.c.document == document)
            .order_by(tables.documents.c.document)
            .limit(_NAMED)
        )
        return [NamedDocument(*row) for row in await self.database.fetch_rows(query)]

    async def list_titles(
        self, key: SourceKey, audiences: Collection[str], limit: int, *, newest: bool = False
    ) -> list[ListedTitle]:
        """Return the first read documents of these audiences in the order of names, or those that changed last."""
        changed_at = func.coalesce(tables.documents.c.modified_at, tables.documents.c.read_at)
        query = (
            select(tables.documents.c.document, tables.documents.c.title, changed_at)
            .join(tables.sources)
            .where(*_was_read(self._index, key), tables.documents.c.readers.in_(list(audiences)[:_AUDIENCES]))
            .order_by(*([changed_at.desc()] if newest else []), tables.documents.c.document)
            .limit(limit)
        )
        return [ListedTitle(*row) for row in await self.database.fetch_rows(query)]

    async def list_failures(self, key: SourceKey, limit: int) -> tuple[QuarantinedDocument, ...]:
        """Return the first documents in quarantine, with their reasons."""
        query = (
            select(
                tables.documents.c.document,
                tables.documents.c.reason,
                tables.documents.c.retry_at,
                tables.documents.c.readers,
                tables.documents.c.reason_code,
            )
            .join(tables.sources)
            .where(
                tables.sources.c.index_id == self._index,
                tables.sources.c.key == key.id,
                tables.documents.c.reason.is_not(None),
            )
            .order_by(tables.documents.c.document)
            .limit(limit)
        )
        return tuple(
            QuarantinedDocument(document, reason, retry_at or None, _is_public(readers), read_code(code))
            for document, reason, retry_at, readers, code in await self.database.fetch_rows(query)
        )

    async def list_pending_deletions(self, key: SourceKey, limit: int) -> tuple[PendingDeletion, ...]:
        """Return the first documents whose deletion is pending, in the order of names."""
        query = (
            select(
                tables.documents.c.document,
                tables.documents.c.title,
                tables.documents.c.held_at,
                tables.documents.c.readers,
            )
            .join(tables.sources)
            .where(tables.sources.c.index_id == self._index, tables.sources.c.key == key.id, tables.documents.c.held)
            .order_by(tables.documents.c.document)
            .limit(limit)
        )
        return tuple(
            PendingDeletion(document, title, since, _is_public(readers))
            for document, title, since, readers in await self.database.fetch_rows(query)
        )

    async def list_pending_names(self, key: SourceKey) -> frozenset[str]:
        """Return all documents whose deletion is pending."""
        query = (
            select(tables.documents.c.document)
            .join(tables.sources)
            .where(tables.sources.c.index_id == self._index, tables.sources.c.key == key.id, tables.documents.c.held)
        )
        return frozenset(document for (document,) in await self.database.fetch_rows(query))

    async def read_last_repair(self) -> LastRepair | None:
        """Return the last comparison of store and manifest, None if there was none."""
        query = select(tables.indexes.c.repaired_at, tables.indexes.c.drift, tables.indexes.c.mended).where(
            tables.indexes.c.id == self._index, tables.indexes.c.repaired_at.is_not(None)
        )
        rows = await self.database.fetch_rows(query)
        return LastRepair._make(rows[0]) if rows else None

    async def has_chunks(self) -> bool:
        """Return whether any chunk of the index is current."""
        one = select(tables.chunks.c.place).where(tables.chunks.c.index_id == self._index).limit(1)
        return bool(await self.database.fetch_rows(one))

    async def measure_rebuild(self) -> IndexRebuild | None:
        """Return how many documents are complete again after the store lost their rows; None if none waits for it."""
        is_lost = (tables.documents.c.sha256 == "") & (tables.documents.c.version == "") & ~tables.documents.c.held
        counts = (
            select(func.count().filter(is_lost), func.count())
            .join(tables.sources)
            .where(tables.sources.c.index_id == self._index, tables.documents.c.read_at > 0.0)
        )
        lost, documents = (await self.database.fetch_rows(counts))[0]
        return IndexRebuild(documents - lost, documents) if lost else None

    async def read_refused(self) -> RefusedPassages | None:
        """Return the passages that were refused since the last comparison of store and manifest, None if none was."""
        query = select(tables.indexes.c.refused_at, tables.indexes.c.refused).where(
            tables.indexes.c.id == self._index, tables.indexes.c.refused_at.is_not(None)
        )
        rows = await self.database.fetch_rows(query)
        return RefusedPassages._make(rows[0]) if rows else None

    async def measure_pace(self, last: int, since: float) -> float | None:
        """Return how many documents a second were indexed among the ``last`` ones; None if none was ``since`` then."""
        newest = (
            select(tables.documents.c.read_at)
            .join(tables.sources)
            .where(tables.sources.c.index_id == self._index)
            .order_by(tables.documents.c.read_at.desc())
            .limit(last)
        )
        times = [read_at for (read_at,) in await self.database.fetch_rows(newest) if read_at > 0.0]
        if not times or times[0] < since or times[0] <= times[-1]:
            return None
        return float((len(times) - 1) / (times[0] - times[-1]))


def _was_read(index: int, key: SourceKey) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for documents of a source that were read."""
    return (
        tables.sources.c.index_id == index,
        tables.sources.c.key == key.id,
        tables.documents.c.read_at > 0.0,
        tables.documents.c.chunks > 0,
    )


def _is_public(readers: str) -> bool:
    return decode_readers(readers) >= EVERYONE


def _choose_confirmed_at(read_at: float, listed_at: float | None, *, doubted: bool) -> float:
    """Return when a version was last seen. A complete listing confirms every document that is not doubted."""
    return read_at if doubted or listed_at is None else max(read_at, listed_at)
