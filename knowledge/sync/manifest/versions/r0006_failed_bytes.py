"""A document has the key of the bytes that could not be parsed, so that they are not parsed again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column with a default: the version before may still write meanwhile."""
    op.add_column("knowledge_documents", sa.Column("failed_bytes", sa.Text, server_default="", nullable=False))
