"""The documents that exist get their audience."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection, text

revision = "0011"
down_revision = "0010"
compatible_since = "0008"

_AT_ONCE = 5000
_AGAIN = """
    UPDATE knowledge_documents SET readers = readers
    WHERE id IN (SELECT id FROM knowledge_documents WHERE audience_id IS NULL AND chunks > 0 LIMIT :most)
"""


def backfill(connection: Connection) -> bool:
    """Write some documents again, so that the triggers of revision 0010 choose their audience."""
    return connection.execute(text(_AGAIN), {"most": _AT_ONCE}).rowcount == _AT_ONCE


def upgrade() -> None:
    """Create the indexes, which is faster when all documents have their audience."""
    op.create_index("knowledge_documents_named", "knowledge_documents", ["audience_id", "document"])
    op.create_index("knowledge_documents_changed", "knowledge_documents", ["audience_id", "modified_at", "read_at"])
    # Last, because nobody can read the table from here to the end.
    op.drop_index("knowledge_documents_due", "knowledge_documents")
