"""The pseudonyms of people in the audit, with the keys that open what is sealed about them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "bot_audit_people",
        sa.Column("person", sa.String(200), primary_key=True),
        sa.Column("pseudonym", sa.String(32), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
    )
