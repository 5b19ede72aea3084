"""Store indexes in PostgreSQL with pgvector."""
