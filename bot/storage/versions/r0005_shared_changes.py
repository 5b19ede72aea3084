"""What the processes of the bot share: changes, the turn that each thread answers, and counts of questions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables and the column."""
    op.create_table(
        "bot_changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "bot_question_counts",
        sa.Column("team", sa.String(32), primary_key=True),
        sa.Column("subject", sa.String(32), primary_key=True),
        sa.Column("minute", sa.Integer, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.add_column("bot_threads", sa.Column("answering", sa.String(32), nullable=False, server_default=""))
