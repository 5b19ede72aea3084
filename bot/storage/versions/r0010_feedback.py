"""The votes on answers, and which answers the asker wants again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the table, and add the column to the questions."""
    op.create_table(
        "bot_feedback",
        sa.Column("team", sa.String(32), primary_key=True),
        sa.Column("channel", sa.String(32), primary_key=True),
        sa.Column("ts", sa.String(32), primary_key=True),
        sa.Column("user", sa.String(32), primary_key=True),
        sa.Column("vote", sa.String(8), nullable=False),
        sa.Column("reasons", sa.String(100), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("answered_at", sa.Float, nullable=False),
        sa.Column("voted_at", sa.Float, nullable=False),
        sa.Index("bot_feedback_person", "team", "user", "voted_at"),
    )
    op.add_column("bot_turns", sa.Column("regenerates", sa.Boolean, nullable=False, server_default=sa.false()))
