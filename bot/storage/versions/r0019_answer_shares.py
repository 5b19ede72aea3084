"""Where the answers to private questions may be shared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "bot_answer_shares",
        sa.Column("team", sa.String(32), primary_key=True),
        sa.Column("channel", sa.String(32), primary_key=True),
        sa.Column("ts", sa.String(32), primary_key=True),
        sa.Column("target", sa.String(32), nullable=False),
        sa.Column("target_name", sa.String(100), nullable=False),
        sa.Column("claimed", sa.Boolean, nullable=False),
        sa.Column("shared_ts", sa.String(32), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Index("bot_answer_shares_shared", "team", "target", "shared_ts"),
        sa.Index("bot_answer_shares_age", "created_at"),
    )
