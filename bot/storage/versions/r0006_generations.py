"""How often an answer to a question was generated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; the questions before it count as not generated."""
    op.add_column("bot_turns", sa.Column("generations", sa.Integer, nullable=False, server_default="0"))
