"""The workspaces in which people have installed the app by OAuth."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "bot_installations",
        sa.Column("team", sa.String(32), primary_key=True),
        sa.Column("enterprise", sa.String(32), nullable=False),
        sa.Column("org_wide", sa.Boolean, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("installer", sa.String(32), nullable=False),
        sa.Column("installed_at", sa.Float, nullable=False),
        sa.Column("sealed_tokens", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("refreshed_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("refresh_until", sa.Float, nullable=False),
        sa.Column("problem", sa.String(64), nullable=False),
    )
    op.create_table(
        "bot_home_workspace",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("workspace", sa.String(32), nullable=False),
    )
    op.create_table(
        "bot_oauth_states",
        sa.Column("state", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
