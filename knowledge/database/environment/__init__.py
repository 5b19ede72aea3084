"""The folder that Alembic runs migrations from."""
