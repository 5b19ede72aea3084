"""When a question was last edited, and whether its next answer replaces one to an earlier text."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns, and erase the questions that were deleted before."""
    op.add_column("bot_turns", sa.Column("edited_ts", sa.String(32), nullable=False, server_default=""))
    op.add_column("bot_turns", sa.Column("revises", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("UPDATE bot_turns SET text = '' WHERE state = 'superseded'")
