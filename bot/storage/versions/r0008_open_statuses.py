"""When to clear the status that Slack shows in the thread of a closed turn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column, with nothing to clear, and its index."""
    op.add_column("bot_turns", sa.Column("clear_status_at", sa.Float, nullable=False, server_default="0"))
    op.create_index("bot_turns_clear_status", "bot_turns", ["clear_status_at"])
