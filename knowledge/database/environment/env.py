"""Run the migrations of ``knowledge.database.migrations`` in its caller's transaction; Alembic loads this file."""

from __future__ import annotations

from alembic import context

context.configure(**context.config.attributes)
context.run_migrations()
