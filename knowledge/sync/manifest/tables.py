"""The manifest's tables, for SQLite and PostgreSQL, and the queries that must be fast.

Chunks belong to documents, documents to a source, and a source to one index. Deleting an index deletes all of it.
``pending`` has the ids that the store may have although no document lists them. They were written before the switch, or
replaced but not yet deleted. So the next sync cleans up after one that died, without reading the whole store.
``leases`` has the process that leads, and ``requests`` what other processes ask of it (``lease`` and ``requests``).
``memories`` has what a source remembers between listings; losing one costs only time. ``content`` has what people add,
where the database is shared by several hosts. ``replica_configurations`` has the sources of each running process.
``source_counts``, ``audiences`` and ``documents.audience_id`` have what a look at all documents would return. Triggers
of revision 0010 change them with each write of ``documents``, also if an older Kvasir writes. A revision that replaces
``documents`` must make the triggers again.

A change of a table is a new revision in ``versions``, and its number in ``MIGRATIONS``. Tests compare both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    func,
    inspect,
    select,
)

from knowledge.database.migrations import Migrations

tables = MetaData()
schema = Table("knowledge_schema", tables, Column("version", Integer, primary_key=True))
"""The version that a Kvasir without revisions reads."""
indexes = Table(
    "knowledge_indexes",
    tables,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("store", Text, nullable=False),
    Column("embedder", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("dimensions", Integer),
    Column("repaired_at", Double),
    Column("drift", Integer),
    Column("mended", Integer),
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("refused_at", Double),
    Column("namespace", Text, nullable=False, server_default=""),
)
sources = Table(
    "knowledge_sources",
    tables,
    Column("id", Integer, primary_key=True),
    Column("index_id", ForeignKey(indexes.c.id, ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("listed_at", Double),
    Column("error", Text),
    Column("error_code", Text, nullable=False, server_default=""),
    Column("configured", Text, nullable=False, server_default=""),
    Column("configuration", Text, nullable=False, server_default=""),
    Column("place", Text, nullable=False, server_default=""),
    UniqueConstraint("index_id", "key"),
    sqlite_autoincrement=True,
)
documents = Table(
    "knowledge_documents",
    tables,
    Column("id", Integer, primary_key=True),
    Column("source_id", ForeignKey(sources.c.id, ondelete="CASCADE"), nullable=False),
    Column("document", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("url", Text),
    Column("readers", Text, nullable=False),
    Column("read_at", Double, nullable=False),
    Column("held", Boolean, nullable=False, default=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("retry_at", Double, nullable=False, default=0.0),
    Column("chunks", Integer, nullable=False, default=0),
    Column("kind", Text, nullable=False, server_default=""),
    Column("modified_at", Double),
    Column("held_at", Double),
    Column("reason_code", Text, nullable=False, server_default=""),
    Column("listed_readers", Text, nullable=False, server_default=""),
    Column("rights_at", Double, nullable=False, server_default="0"),
    Column("failed_bytes", Text, nullable=False, server_default=""),
    Column("audience_id", Integer),
    UniqueConstraint("source_id", "document"),
    Index("knowledge_documents_named", "audience_id", "document"),
    Index("knowledge_documents_changed", "audience_id", "modified_at", "read_at"),
    sqlite_autoincrement=True,
)
chunks = Table(
    "knowledge_chunks",
    tables,
    Column("id", Text, primary_key=True),
    Column("index_id", ForeignKey(indexes.c.id, ondelete="CASCADE"), primary_key=True),
    Column("document_id", ForeignKey(documents.c.id, ondelete="CASCADE"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("heading", Text, nullable=False),
    Column("text_hash", Text, nullable=False, server_default=""),
    Index("knowledge_chunks_place", "document_id", "place"),
    Index("knowledge_chunks_text", "index_id", "text_hash"),
    sqlite_with_rowid=False,
)
pending = Table(
    "knowledge_pending",
    tables,
    Column("id", Text, primary_key=True),
    Column("index_id", ForeignKey(indexes.c.id, ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)
source_counts = Table(
    "knowledge_source_counts",
    tables,
    Column("source_id", ForeignKey(sources.c.id, ondelete="CASCADE"), primary_key=True),
    Column("documents", Integer, nullable=False, server_default="0"),
    Column("indexed", Integer, nullable=False, server_default="0"),
    Column("chunks", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("pending_deletions", Integer, nullable=False, server_default="0"),
    Column("lost", Integer, nullable=False, server_default="0"),
    Column("removed_audiences", Integer, nullable=False, server_default="0"),
)
"""Figures about the documents of each source: those that were ever read, that failed, and that the store lost."""
audiences = Table(
    "knowledge_audiences",
    tables,
    Column("id", Integer, primary_key=True),
    Column("source_id", ForeignKey(sources.c.id, ondelete="CASCADE"), nullable=False),
    Column("readers", Text, nullable=False),
    Column("mark", Text, nullable=False),
    Column("documents", Integer, nullable=False, server_default="0"),
    Index("knowledge_audiences_source", "source_id"),
    Index("knowledge_audiences_readers", "readers", postgresql_using="hash"),
    sqlite_autoincrement=True,
)
"""The readers of documents with passages, and how many have them. ``mark`` is ``AudienceRow.url``. Rows are added in
the order of their ids, and ``removed_audiences`` counts those that were deleted."""

memories = Table(
    "knowledge_memories",
    tables,
    Column("source", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
leases = Table(
    "knowledge_leases",
    tables,
    Column("namespace", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("term", Integer, nullable=False),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("progress", Text, nullable=False),
)
requests = Table(
    "knowledge_requests",
    tables,
    Column("id", Integer, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("approvals", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("taken_term", Integer, nullable=False),
    Column("progress", Text, nullable=False),
    Column("report", Text),
    Column("error", Text),
    Column("done_at", Double),
    sqlite_autoincrement=True,
)
content = Table(
    "knowledge_content",
    tables,
    Column("namespace", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("meta", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("changed_at", Double, nullable=False),
)
replica_configurations = Table(
    "knowledge_replica_configurations",
    tables,
    Column("namespace", Text, primary_key=True),
    Column("replica", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("sources", Text, nullable=False),
    Column("seen_at", Double, nullable=False),
)
backups = Table(
    "knowledge_backups",
    tables,
    Column("id", Text, primary_key=True),
    Column("until", Double, nullable=False),
)
"""Backups that are being made (``RunningBackups``)."""
embedders = Table(
    "knowledge_embedders",
    tables,
    Column("namespace", Text, primary_key=True),
    Column("identity", Text, primary_key=True),
    Column("canary", LargeBinary, nullable=False),
    Column("calibration", Text),
)
"""The vector that identifies each embedder, and its constants if they were fitted here (``EmbedderRecords``)."""

INDEXES = (
    select(
        indexes.c.id,
        indexes.c.name,
        indexes.c.store,
        indexes.c.embedder,
        indexes.c.active,
        indexes.c.dimensions,
    )
    .where(indexes.c.namespace == bindparam("namespace"))
    .order_by(indexes.c.id)
)
KNOWN = select(
    documents.c.id,
    documents.c.document,
    documents.c.version,
    documents.c.sha256,
    documents.c.title,
    documents.c.url,
    documents.c.readers,
    documents.c.read_at,
    documents.c.held,
    documents.c.reason,
    documents.c.attempts,
    documents.c.retry_at,
    documents.c.chunks,
    documents.c.kind,
    documents.c.modified_at,
    documents.c.reason_code,
    documents.c.failed_bytes,
)
CURRENT = (
    select(
        chunks.c.id,
        sources.c.key,
        documents.c.document,
        chunks.c.place,
        documents.c.readers,
        documents.c.read_at,
        documents.c.held,
        documents.c.reason,
        sources.c.listed_at,
        sources.c.configured,
        documents.c.url,
        documents.c.id,
        documents.c.kind,
        documents.c.modified_at,
        documents.c.rights_at,
        chunks.c.text_hash,
    )
    .join(documents, documents.c.id == chunks.c.document_id)
    .join(sources, sources.c.id == documents.c.source_id)
    .where(
        chunks.c.id.in_(bindparam("ids", expanding=True)),
        chunks.c.index_id == bindparam("index"),
        sources.c.key.in_(bindparam("keys", expanding=True)),
    )
)
CHUNK_ROWS = (
    select(
        chunks.c.id,
        sources.c.key,
        documents.c.document,
        documents.c.readers,
        chunks.c.text_hash,
        documents.c.kind,
        documents.c.modified_at,
    )
    .join(documents, documents.c.id == chunks.c.document_id)
    .join(sources, sources.c.id == documents.c.source_id)
    .where(chunks.c.id.in_(bindparam("ids", expanding=True)), chunks.c.index_id == bindparam("index"))
)

_found, _near = chunks.alias("found"), chunks.alias("near")
NEIGHBOURS = (
    select(_found.c.id, _near.c.id, _near.c.place - _found.c.place)
    .join(
        _near,
        (_near.c.document_id == _found.c.document_id)
        & _near.c.place.between(_found.c.place - bindparam("reach"), _found.c.place + bindparam("reach")),
    )
    .where(_found.c.id.in_(bindparam("ids", expanding=True)), _found.c.index_id == bindparam("index"))
    .order_by(_found.c.id, _near.c.place)
)


def _find_unversioned(connection: Connection) -> str | None:
    """Return the revision of tables that a Kvasir without Alembic made, None if there are none."""
    if not inspect(connection).has_table(schema.name):
        return None
    return f"{connection.execute(select(func.max(schema.c.version))).scalar_one():04}"


MIGRATIONS: Final = Migrations(
    name="manifest",
    versions=Path(__file__).parent / "versions",
    newest="0012",
    table="knowledge_revision",
    find_unversioned=_find_unversioned,
)
