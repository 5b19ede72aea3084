"""Backups that are being made: until they end, the store deletes no rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
compatible_since = "0008"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "knowledge_backups",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("until", sa.Double, nullable=False),
    )
