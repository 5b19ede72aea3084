"""The places that each process holds at engines that all of them use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
compatible_since = "0022"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "bot_engine_places",
        sa.Column("engine", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(200), primary_key=True),
        sa.Column("held", sa.Integer, nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("granted_at", sa.Float, nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
    )
