"""Documents have the time at which their readers were asked, sources the configuration that their readers follow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns, each with a default: the version before may still write meanwhile."""
    op.add_column("knowledge_sources", sa.Column("configured", sa.Text, server_default="", nullable=False))
    op.add_column("knowledge_documents", sa.Column("listed_readers", sa.Text, server_default="", nullable=False))
    op.add_column("knowledge_documents", sa.Column("rights_at", sa.Double, server_default="0", nullable=False))
