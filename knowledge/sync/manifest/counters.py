"""Compare the counters, which triggers keep, with a full count, and make them right again."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from knowledge.sync.manifest import tables
from knowledge.sync.manifest.records import UNSETTLED

_ROW: Final = tables.documents.c
_KNOWN: Final = tables.audiences.c
_COUNTED: Final[dict[str, ColumnElement[bool]]] = {
    "indexed": _ROW.read_at > 0.0,
    "failed": _ROW.reason.is_not(None),
    "pending_deletions": _ROW.held,
    "lost": (_ROW.sha256 == "") & (_ROW.version == "") & ~_ROW.held & (_ROW.read_at > 0.0),
}
_COLUMNS: Final = ("source_id", "documents", "chunks", *_COUNTED)


def find_wrong_counters(connection: Connection, index: int) -> bool:
    """Count the documents of an index, and return whether its counters differ."""
    sources = _list_sources(index)
    counted, counts = _count_documents(sources), tables.source_counts.c
    is_used = or_(*(counts[name] != 0 for name in _COLUMNS[1:]))
    kept = select(*(counts[name] for name in _COLUMNS)).where(counts.source_id.in_(sources), is_used)
    checks = (counted.except_(kept), kept.except_(counted))
    return _finds_any(connection, *checks) or _are_audiences_wrong(connection, sources)


def replace_counters(connection: Connection, index: int) -> None:
    """Count the documents of an index again, in a writing transaction. Its audiences are replaced if one is wrong."""
    sources, counts = _list_sources(index), tables.source_counts.c
    ours = _ROW.source_id.in_(sources)
    # Other processes compare the number of removals, so it must change.
    last = connection.execute(select(func.coalesce(func.max(counts.removed_audiences), 0))).scalar_one()
    if _are_audiences_wrong(connection, sources):
        connection.execute(delete(tables.audiences).where(_KNOWN.source_id.in_(sources)))
        connection.execute(update(tables.documents).where(ours).values(audience_id=None))
        connection.execute(update(tables.documents).where(ours, _ROW.chunks > 0).values(readers=_ROW.readers))
    connection.execute(delete(tables.source_counts).where(counts.source_id.in_(sources)))
    renewed = _count_documents(sources).add_columns(literal(last + 1, Integer))
    connection.execute(insert(tables.source_counts).from_select([*_COLUMNS, "removed_audiences"], renewed))


def _are_audiences_wrong(connection: Connection, sources: Select[Any]) -> bool:
    return _finds_any(connection, _find_misplaced(sources), _find_miscounted(sources), _find_doubled(sources))


def _finds_any(connection: Connection, *queries: Select[Any] | CompoundSelect[Any]) -> bool:
    return any(connection.execute(query.limit(1)).first() is not None for query in queries)


def _list_sources(index: int) -> Select[Any]:
    return select(tables.sources.c.id).where(tables.sources.c.index_id == index)


def _count_documents(sources: Select[Any]) -> Select[Any]:
    sums = (func.sum(case((is_counted, 1), else_=0)) for is_counted in _COUNTED.values())
    counted = select(_ROW.source_id, func.count(), func.sum(_ROW.chunks), *sums)
    return counted.where(_ROW.source_id.in_(sources)).group_by(_ROW.source_id)


def _find_misplaced(sources: Select[Any]) -> Select[Any]:
    """Return the documents that have another audience than their own."""
    mark = case((func.substr(_ROW.url, 1, 1) == UNSETTLED, _ROW.url), else_="")
    is_own = (_KNOWN.source_id == _ROW.source_id) & (_KNOWN.readers == _ROW.readers) & (_KNOWN.mark == mark)
    is_right = case((_ROW.chunks > 0, func.coalesce(is_own, False)), else_=_ROW.audience_id.is_(None))
    joined = select(_ROW.id).join_from(tables.documents, tables.audiences, _KNOWN.id == _ROW.audience_id, isouter=True)
    return joined.where(_ROW.source_id.in_(sources), ~is_right)


def _find_miscounted(sources: Select[Any]) -> Select[Any]:
    """Return the audiences that have another number of documents."""
    number = select(func.count()).where(_ROW.audience_id == _KNOWN.id).scalar_subquery()
    return select(_KNOWN.id).where(_KNOWN.source_id.in_(sources), _KNOWN.documents != number)


def _find_doubled(sources: Select[Any]) -> Select[Any]:
    """Return one of the audiences that have the same readers."""
    alike = select(func.min(_KNOWN.id)).where(_KNOWN.source_id.in_(sources))
    return alike.group_by(_KNOWN.source_id, _KNOWN.readers, _KNOWN.mark).having(func.count() > 1)
