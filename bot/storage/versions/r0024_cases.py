"""Cases that rules over transactions open, and what people decide about them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
compatible_since = "0023"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "bot_cases",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("team", sa.String(32), nullable=False),
        sa.Column("profile", sa.String(40), nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("hits", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_by", sa.String(32), nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
    op.create_index("bot_cases_outcome", "bot_cases", ["outcome", "score"])
