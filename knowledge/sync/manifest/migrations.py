"""How the manifest's tables get from one version to the next, in place and with everything in them.

Each step is written out and never changed again: what it leads to is what that version's tables were. A column that is
added has a default, so that a Kvasir of the version before, which is still running, can go on writing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, func, select, text, update

from knowledge.sync.manifest.tables import SCHEMA_VERSION, schema


def migrate(connection: Connection) -> int:
    """Bring the tables to the newest version within the transaction of ``connection``; returns their version.

    A version that has no step (a newer Kvasir's) is left as it is.
    """
    version = int(connection.execute(select(func.max(schema.c.version))).scalar_one())
    while version < SCHEMA_VERSION and version in _STEPS:
        _STEPS[version](connection)
        version += 1
        connection.execute(update(schema).values(version=version))
    return version


def _to_2(connection: Connection) -> None:
    """Documents say what they are and how old, chunks tell copies, sources remember."""
    binary, number = ("BYTEA", "DOUBLE PRECISION") if connection.dialect.name == "postgresql" else ("BLOB", "DOUBLE")
    for statement in (
        f"CREATE TABLE IF NOT EXISTS knowledge_memories (source TEXT NOT NULL PRIMARY KEY, data {binary} NOT NULL)",
        "ALTER TABLE knowledge_indexes ADD COLUMN dimensions INTEGER",
        f"ALTER TABLE knowledge_indexes ADD COLUMN repaired_at {number}",
        "ALTER TABLE knowledge_indexes ADD COLUMN drift INTEGER",
        "ALTER TABLE knowledge_indexes ADD COLUMN mended INTEGER",
        "ALTER TABLE knowledge_documents ADD COLUMN kind TEXT DEFAULT '' NOT NULL",
        f"ALTER TABLE knowledge_documents ADD COLUMN modified_at {number}",
        f"ALTER TABLE knowledge_documents ADD COLUMN held_at {number}",
        "ALTER TABLE knowledge_chunks ADD COLUMN text_hash TEXT DEFAULT '' NOT NULL",
        "CREATE INDEX knowledge_chunks_place ON knowledge_chunks (document_id, place)",
        "CREATE INDEX knowledge_chunks_text ON knowledge_chunks (index_id, text_hash)",
        "DROP INDEX knowledge_chunks_document",
    ):
        connection.execute(text(statement))


_STEPS: Mapping[int, Callable[[Connection], None]] = {1: _to_2}
