"""An index has the number of passages that its store proposed to people who may not read them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, each with a default: the version before may still write meanwhile."""
    op.add_column("knowledge_indexes", sa.Column("refused", sa.Integer, server_default="0", nullable=False))
    op.add_column("knowledge_indexes", sa.Column("refused_at", sa.Double))
