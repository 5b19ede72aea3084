"""The message that a question is about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column."""
    op.add_column("bot_turns", sa.Column("subject", sa.String(100), nullable=False, server_default=""))
