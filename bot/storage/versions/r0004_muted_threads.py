"""Threads that people have muted, and who talks in a thread."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("talkers", sa.String(32), nullable=False, server_default=""),
        sa.Column("muted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("muted_at", sa.Float, nullable=False, server_default="0"),
    ):
        op.add_column("bot_threads", column)
