"""A vector that identifies each embedder, and constants that were fitted for it in this installation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
compatible_since = "0009"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "knowledge_embedders",
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column("identity", sa.Text, primary_key=True),
        sa.Column("canary", sa.LargeBinary, nullable=False),
        sa.Column("calibration", sa.Text),
    )
