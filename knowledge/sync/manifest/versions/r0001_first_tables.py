"""The first tables: indexes, sources, documents, their chunks, and the ids that a store may still hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table("knowledge_schema", sa.Column("version", sa.Integer, primary_key=True))
    op.create_table(
        "knowledge_indexes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("embedder", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_table(
        "knowledge_sources",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("index_id", sa.Integer, sa.ForeignKey("knowledge_indexes.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("listed_at", sa.Double),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("index_id", "key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "knowledge_documents",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("knowledge_sources.id", ondelete="CASCADE"), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("readers", sa.Text, nullable=False),
        sa.Column("read_at", sa.Double, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.Double, nullable=False),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.UniqueConstraint("source_id", "document"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "knowledge_chunks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("index_id", sa.Integer, sa.ForeignKey("knowledge_indexes.id", ondelete="CASCADE"), primary_key=True),
        sa.Column(
            "document_id", sa.Integer, sa.ForeignKey("knowledge_documents.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("heading", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("knowledge_chunks_document", "knowledge_chunks", ["document_id"])
    op.create_table(
        "knowledge_pending",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("index_id", sa.Integer, sa.ForeignKey("knowledge_indexes.id", ondelete="CASCADE"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO knowledge_schema (version) VALUES (1)")
