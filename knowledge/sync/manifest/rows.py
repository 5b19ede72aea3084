"""Writes the rows of many documents at once, because one statement for each would cost more than all else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import BindParameter, Connection, bindparam, insert, select, update

from knowledge.sync.manifest import tables
from knowledge.sync.manifest.records import FailedDocument, IndexedDocument, encode_readers

_T = TypeVar("_T")

_AT_ONCE = 500
"""Ids in one statement, far below the limit of any database."""

Values = dict[str, object]


def put_documents(
    connection: Connection, source: int, values: Mapping[str, Values], new: Mapping[str, Values] | None = None
) -> dict[str, int]:
    """Update documents' rows, or insert them with what ``new`` adds; all have the same keys. Return the rows' ids."""
    rows = find_rows(connection, source, values)
    present = [{"row": row, **values[document]} for document, row in rows.items()]
    update_documents(connection, present)
    absent = [document for document in values if document not in rows]
    if absent:
        inserted = [
            {"source_id": source, "document": document, **values[document], **(new or {}).get(document, {})}
            for document in absent
        ]
        connection.execute(insert(tables.documents), inserted)
        rows |= find_rows(connection, source, absent)
    return rows


def update_documents(connection: Connection, values: Sequence[Values]) -> None:
    """Change documents, each given by its ``row``; all have the same keys."""
    if values:
        columns: dict[str, BindParameter[object]] = {name: bindparam(name) for name in values[0] if name != "row"}
        ours = tables.documents.c.id == bindparam("row")
        connection.execute(update(tables.documents).where(ours).values(columns), values)


def find_rows(connection: Connection, source: int, documents: Collection[str]) -> dict[str, int]:
    """Return the ids of the rows that exist."""
    rows: dict[str, int] = {}
    for some in slice_items(documents):
        theirs = (tables.documents.c.source_id == source) & tables.documents.c.document.in_(some)
        found = connection.execute(select(tables.documents.c.document, tables.documents.c.id).where(theirs))
        rows.update((document, row) for document, row in found.all())
    return rows


def make_indexed_values(one: IndexedDocument) -> Values:
    """Return the row of a document that is indexed."""
    return {
        "version": one.version,
        "sha256": one.sha256,
        "title": one.title,
        "url": one.entry.url,
        "readers": encode_readers(one.entry.readers),
        "read_at": one.read_at,
        "held": False,
        "reason": None,
        "attempts": 0,
        "chunks": len(one.chunks),
        "kind": one.chunks[0].kind if one.chunks else "",
        "modified_at": to_seconds(one.entry.modified_at),
        "held_at": None,
        "listed_readers": "",
        "rights_at": 0.0,
        "failed_bytes": "",
    }


def to_seconds(moment: datetime | None) -> float | None:
    """Return a time in seconds since the epoch, as the manifest stores it."""
    return None if moment is None else moment.timestamp()


def make_failed_values(one: FailedDocument) -> Values:
    """Return what changes in the row of a document that fails; its current chunks stay."""
    return {
        "version": one.entry.version,
        "reason": one.reason,
        "reason_code": one.code.value,
        "attempts": one.attempts,
        "retry_at": one.retry_at,
        "failed_bytes": one.bytes_key,
        "held": False,
        "held_at": None,
    }


def make_unread_values(one: FailedDocument) -> Values:
    """Return what the row of a document that was never indexed has besides."""
    readers = encode_readers(one.entry.readers)
    return {"sha256": "", "title": "", "url": one.entry.url, "readers": readers, "read_at": 0.0}


def slice_items(items: Collection[_T], size: int = _AT_ONCE) -> Iterable[list[_T]]:
    """Split items into lists of at most ``size``; by default, they are small enough for one statement."""
    every = list(items)
    return (every[start : start + size] for start in range(0, len(every), size))
