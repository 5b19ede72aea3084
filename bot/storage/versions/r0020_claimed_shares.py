"""When a process has claimed the share of an answer: it may die before the answer is in the channel."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Replace the column."""
    op.add_column("bot_answer_shares", sa.Column("claimed_at", sa.Float, nullable=False, server_default="0"))
    op.drop_column("bot_answer_shares", "claimed")
