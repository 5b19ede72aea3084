"""The settings of channels, and the questions that nobody asked Kvasir."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table, and add the column."""
    op.create_table(
        "bot_channel_settings",
        sa.Column("team", sa.String(32), primary_key=True),
        sa.Column("channel", sa.String(32), primary_key=True),
        sa.Column("sources", sa.Text, nullable=False),
        sa.Column("web", sa.String(8), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("think", sa.String(16), nullable=False),
        sa.Column("tone", sa.String(16), nullable=False),
        sa.Column("mention_only", sa.Boolean, nullable=False),
        sa.Column("unasked_per_hour", sa.Integer, nullable=False),
        sa.Column("unasked_at", sa.Text, nullable=False, server_default="{}"),
        sa.Column("changed_by", sa.String(32), nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
    op.add_column("bot_turns", sa.Column("unasked", sa.Boolean, nullable=False, server_default=sa.false()))
