"""The messages that owners have: a source that fails, the digest of a week."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "bot_owner_notices",
        sa.Column("team", sa.String(32), primary_key=True),
        sa.Column("subject", sa.String(300), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("told_at", sa.Float, nullable=False),
    )
