"""The database says which process leads, and has what other processes ask of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
compatible_since = "0006"


def upgrade() -> None:
    """Create the tables. The version before does not know them."""
    op.create_table(
        "knowledge_leases",
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("machine", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
    )
    op.create_table(
        "knowledge_requests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("approvals", sa.Text, nullable=False),
        sa.Column("asked_at", sa.Double, nullable=False),
        sa.Column("taken_term", sa.Integer, nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("report", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("done_at", sa.Double),
        sqlite_autoincrement=True,
    )
