"""Queries about one index, for searches, syncs and status. Nothing here writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Select,
    TextClause,
    bindparam,
    case,
    desc,
    func,
    select,
    text,
    union_all,
)

from knowledge.database.database import Database
from knowledge.errors import read_code
from knowledge.interfaces import EVERYONE, SourceKey
from knowledge.sync.manifest import tables
from knowledge.sync.manifest.records import (
    AudienceList,
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
_AUDIENCES = 50
"""Audiences in one query for titles; a statement takes only so many values and parts."""

_DOCUMENTS = 2000
"""Documents that a sync reads at once, about 2 MB."""


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
            settings = not is_unsettled(url), "" if held else configured
            found.append(CurrentRow._make((*row[:5], confirmed_at, *row[11:-1], *settings, row[-1])))
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

    async def read_audiences(self, known: AudienceList | None = None) -> AudienceList:
        """Return every audience that a document with passages has; only new ones are read if ``known`` lacks no others.

        The removals are read first: an audience that is removed meanwhile is noticed the next time.
        """
        ours = (tables.sources.c.index_id == self._index,)
        counts, audiences = tables.source_counts.c, tables.audiences.c
        removed_query = select(counts.source_id, counts.removed_audiences).join(tables.sources).where(*ours)
        query = select(audiences.id, tables.sources.c.key, audiences.readers, audiences.mark).join(tables.sources)

        def read(connection: Connection) -> AudienceList:
            removed = frozenset((source, number) for source, number in connection.execute(removed_query))
            before = known if known is not None and removed == known.removed else AudienceList(removed=removed)
            found = connection.execute(query.where(*ours, audiences.id > before.newest)).all()
            if not found:
                return before
            rows = before.rows.union(AudienceRow(*row) for _, *row in found)
            return AudienceList(rows, max(id_ for id_, *_ in found), removed)

        # In the database's thread, because there may be thousands.
        return await self.database.read(read)

    async def has_audiences(self, number: int) -> bool:
        """Return whether documents with passages have so many audiences; it reads a part of an index."""
        query = select(tables.audiences.c.id).join(tables.sources).where(tables.sources.c.index_id == self._index)
        return bool(await self.database.fetch_rows(query.offset(number - 1).limit(1)))

    async def list_headings(self, keys: Collection[str], limit: int) -> list[DocumentHeading]:
        """Return the first chunk of each heading, in the order of documents and places, of at most ``limit`` chunks.

        Only of documents that everybody may read, because suggestions are shown to everybody.
        """
        documents, first = tables.documents.c, dict[tuple[str, str, str], DocumentHeading]()
        for key in sorted(keys):
            public = await self._find_audiences(key, [encode_readers(EVERYONE)])
            if not public:
                continue
            parts = _list_of_each(
                public, (documents.id, documents.document, documents.chunks), documents.document, limit
            )
            listed = await self.database.fetch_rows(union_all(*parts).order_by("document").limit(limit))
            before = accumulate((row.chunks for row in listed), initial=0)
            some = [row.id for row, chunks in zip(listed, before, strict=False) if chunks < limit]
            query = (
                select(documents.document, documents.title, tables.chunks.c.heading, tables.chunks.c.id)
                .join(tables.chunks, tables.chunks.c.document_id == documents.id)
                .where(documents.id.in_(some))
                .order_by(documents.document, tables.chunks.c.place)
                .limit(limit)
            )
            rows = await self.database.fetch_rows(query)
            for row in rows:
                heading = DocumentHeading._make((*row, key))
                first.setdefault((key, heading.document, heading.heading), heading)
            limit -= len(rows)
            if not limit:
                break
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
        query = select(func.coalesce(func.sum(tables.source_counts.c.chunks), 0)).join(tables.sources)
        return int((await self.database.fetch_rows(query.where(tables.sources.c.index_id == self._index)))[0][0])

    async def list_chunk_ids(self, after: str = "", limit: int | None = None) -> list[str]:
        """Return the ids of the current chunks of the index that come after one, in order, at most ``limit``."""
        # The sum keeps databases from the index of texts, for which they would sort all chunks for each page.
        ours = (tables.chunks.c.index_id + 0 == self._index) & (tables.chunks.c.id > after)
        query = select(tables.chunks.c.id).where(ours).order_by(tables.chunks.c.id).limit(limit)
        return [id_ for (id_,) in await self.database.fetch_rows(query)]

    async def list_documents(self, key: SourceKey) -> list[KnownDocument]:
        """Return every document of a source."""
        return [row async for some in self.list_documents_in_parts(key) for row in some]

    async def list_documents_in_parts(self, key: SourceKey) -> AsyncIterator[list[KnownDocument]]:
        """Yield every document of a source, some at a time in the order of their names."""
        document = tables.documents.c.document
        mine = tables.KNOWN.join(tables.sources).where(
            tables.sources.c.index_id == self._index, tables.sources.c.key == key.id
        )
        query, later = mine.order_by(document).limit(_DOCUMENTS), list[ColumnElement[bool]]()
        while rows := await self.database.fetch_rows(query.where(*later)):
            yield [KnownDocument._make(row) for row in rows]
            if len(rows) < _DOCUMENTS:
                return
            later = [document > rows[-1].document]

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
        counts, sources = tables.source_counts.c, tables.sources.c
        numbers = (counts.indexed, counts.chunks, counts.failed, counts.pending_deletions)
        query = (
            select(
                *(func.coalesce(number, 0) for number in numbers),
                sources.listed_at,
                sources.error,
                sources.error_code,
                sources.configured,
            )
            .join_from(tables.sources, tables.source_counts, isouter=True)
            .where(sources.index_id == self._index, sources.key == key.id)
        )
        rows = await self.database.fetch_rows(query)
        if not rows:
            return SourceCounts()
        documents, chunks, failed, held, listed_at, error, code, configured = rows[0]
        return SourceCounts(documents, chunks, failed, held, listed_at, error, read_code(code), configured)

    async def count_other_sources(self, keys: Collection[str]) -> list[tuple[str, int, int]]:
        """Return all sources with documents that are not in ``keys``: their keys, documents and chunks."""
        counts, sources = tables.source_counts.c, tables.sources.c
        query = (
            select(sources.key, counts.documents, counts.chunks)
            .join(tables.source_counts)
            .where(sources.index_id == self._index, sources.key.not_in(keys), counts.documents > 0)
            .order_by(sources.key)
        )
        return [(key, documents, chunks) for key, documents, chunks in await self.database.fetch_rows(query)]

    async def count_audiences(self, key: SourceKey) -> dict[str, int]:
        """Return how many documents with passages each audience has, by its ``encode_readers``; the largest first."""
        readers, documents = tables.audiences.c.readers, func.sum(tables.audiences.c.documents)
        query = (
            select(readers, documents)
            .join(tables.sources)
            .where(tables.sources.c.index_id == self._index, tables.sources.c.key == key.id)
            .group_by(readers)
            .order_by(documents.desc(), readers)
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
        ids = await self._find_audiences(key.id, list(audiences)[:_AUDIENCES])
        if not ids:
            return []
        values = {"limit": limit, **{f"audience{number}": id_ for number, id_ in enumerate(ids)}}
        query = _make_title_query(len(ids), newest=newest)
        return [ListedTitle(*row) for row in await self.database.fetch_rows(query, values)]

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
        counts = tables.source_counts.c
        sums = (func.coalesce(func.sum(number), 0) for number in (counts.lost, counts.indexed))
        query = select(*sums).join(tables.sources).where(tables.sources.c.index_id == self._index)
        lost, documents = (await self.database.fetch_rows(query))[0]
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

    async def _find_audiences(self, key: str, readers: Collection[str]) -> list[int]:
        """Return the ids of audiences of a source (``SourceKey.id``); those with most documents if there are many."""
        audience = tables.audiences.c
        query = (
            select(audience.id)
            .join(tables.sources)
            .where(tables.sources.c.index_id == self._index, tables.sources.c.key == key, audience.readers.in_(readers))
            .order_by(audience.documents.desc(), audience.id)
            .limit(_AUDIENCES)
        )
        return [id_ for (id_,) in await self.database.fetch_rows(query)]


@lru_cache(maxsize=2 * _AUDIENCES)
def _make_title_query(audiences: int, *, newest: bool) -> TextClause:
    """Return the query for titles of so many audiences, as text: making it of parts takes longer than its answer.

    An index has all that chooses documents, so that rows are read of the chosen ones only.
    """
    document, limit = tables.documents.c, bindparam("limit", type_=Integer)
    changed_at = func.coalesce(document.modified_at, document.read_at).label("changed_at")
    ids = [bindparam(f"audience{number}", type_=Integer) for number in range(audiences)]
    if newest:
        dated, undated = document.modified_at.is_not(None), document.modified_at.is_(None)
        parts = [
            *_list_of_each(ids, (document.id, changed_at), document.modified_at.desc(), limit, dated),
            *_list_of_each(ids, (document.id, changed_at), document.read_at.desc(), limit, undated),
        ]
        found = union_all(*parts).order_by(desc("changed_at")).limit(limit).subquery()
        order: tuple[ColumnElement[Any], ...] = (changed_at.desc(), document.document)
    else:
        parts = _list_of_each(ids, (document.id, document.document), document.document, limit)
        found = union_all(*parts).order_by("document").limit(limit).subquery()
        order = (document.document,)
    query = select(document.document, document.title, changed_at).join(found, found.c.id == document.id)
    return text(str(query.order_by(*order)))


def _list_of_each(
    audiences: Iterable[int | BindParameter[int]],
    columns: Sequence[ColumnElement[Any]],
    order: ColumnElement[Any],
    limit: int | BindParameter[int],
    *where: ColumnElement[bool],
) -> list[Select[Any]]:
    """Return queries for the first documents of each audience, which an index answers.

    One query for all of them would look at each document.
    """
    ours = (
        select(*columns).where(tables.documents.c.audience_id == id_, *where).order_by(order).limit(limit).subquery()
        for id_ in audiences
    )
    return [select(one) for one in ours]


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
