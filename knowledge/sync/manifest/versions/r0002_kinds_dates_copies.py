"""Documents have a kind and a date, chunks a hash that shows copies, indexes a last repair, sources a memory."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, each with a default: the version before may still write meanwhile."""
    op.create_table(
        "knowledge_memories",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.add_column("knowledge_indexes", sa.Column("dimensions", sa.Integer))
    op.add_column("knowledge_indexes", sa.Column("repaired_at", sa.Double))
    op.add_column("knowledge_indexes", sa.Column("drift", sa.Integer))
    op.add_column("knowledge_indexes", sa.Column("mended", sa.Integer))
    op.add_column("knowledge_documents", sa.Column("kind", sa.Text, server_default="", nullable=False))
    op.add_column("knowledge_documents", sa.Column("modified_at", sa.Double))
    op.add_column("knowledge_documents", sa.Column("held_at", sa.Double))
    op.add_column("knowledge_chunks", sa.Column("text_hash", sa.Text, server_default="", nullable=False))
    op.create_index("knowledge_chunks_place", "knowledge_chunks", ["document_id", "place"])
    op.create_index("knowledge_chunks_text", "knowledge_chunks", ["index_id", "text_hash"])
    op.drop_index("knowledge_chunks_document", "knowledge_chunks")
    op.execute("UPDATE knowledge_schema SET version = 2")
