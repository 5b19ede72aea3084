"""An index has a namespace, a source its origin; sources keep content here, and replicas name their configuration."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
compatible_since = "0008"


def upgrade() -> None:
    """Add columns, each with a default, and tables: the version before may still write meanwhile."""
    op.add_column("knowledge_indexes", sa.Column("namespace", sa.Text, server_default="", nullable=False))
    for name in ("configuration", "place"):
        op.add_column("knowledge_sources", sa.Column(name, sa.Text, server_default="", nullable=False))
    op.create_table(
        "knowledge_content",
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("meta", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
    )
    op.create_table(
        "knowledge_replica_configurations",
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("sources", sa.Text, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
    )
