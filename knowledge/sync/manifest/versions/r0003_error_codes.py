"""Errors of sources and documents have a code next to their sentence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns, each with a default: the version before may still write meanwhile."""
    op.add_column("knowledge_sources", sa.Column("error_code", sa.Text, server_default="", nullable=False))
    op.add_column("knowledge_documents", sa.Column("reason_code", sa.Text, server_default="", nullable=False))
