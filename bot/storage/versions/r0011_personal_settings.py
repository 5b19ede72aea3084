"""What people choose for themselves: a language, the length of answers, and whether answers are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("bot_wishes", sa.Column("language", sa.String(8), nullable=False, server_default=""))
    op.add_column("bot_wishes", sa.Column("length", sa.String(16), nullable=False, server_default=""))
    op.add_column("bot_wishes", sa.Column("keeps_answers", sa.Boolean, nullable=False, server_default=sa.true()))
