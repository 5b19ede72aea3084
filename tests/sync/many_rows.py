"""A manifest with as many chunks as a test wants, and a store that generates their rows when it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from itertools import islice

import numpy as np
from sqlalchemy import Connection, text

from knowledge.database.database import Database, DatabaseOptions
from knowledge.interfaces import Chunk, StoredChunk
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from tests.sync.doubles import MemoryStore

PER_DOCUMENT = 10
KEY = "many\x1fdict\x1f/many"
_DIMENSIONS = 384


def make_id(number: int) -> str:
    """Return the id of a chunk."""
    return f"{number:036}"


async def fill_manifest(url: str, rows: int) -> None:
    """Make an index with many chunks."""
    manifest = await open_manifest(url)
    index = await manifest.add_index(IndexIdentity("memory", "arithmetic", "1", "1"))
    await manifest.close()

    def insert_rows(connection: Connection) -> None:
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        id_ = "printf('%036d', i)" if connection.dialect.name == "sqlite" else "lpad(i::text, 36, '0')"
        source = {"key": KEY, "index": index.id}
        connection.execute(text("INSERT INTO knowledge_sources (id, index_id, key) VALUES (1, :index, :key)"), source)
        documents = (
            "INSERT INTO knowledge_documents (id, source_id, document, version, sha256, title, readers, read_at, held, "
            "attempts, retry_at, chunks) "
            f"{numbers} SELECT i, 1, 'd' || i, '1', '1', 't', '[\"*\"]', 1.0, FALSE, 0, 0.0, {PER_DOCUMENT} FROM n "
            f"WHERE i <= {rows // PER_DOCUMENT}"
        )
        chunks = (
            "INSERT INTO knowledge_chunks (id, index_id, document_id, place, heading) "
            f"{numbers} SELECT {id_}, {index.id}, 1 + (i - 1) / {PER_DOCUMENT}, i % {PER_DOCUMENT}, 'h' FROM n"
        )
        for statement in (documents, chunks):
            connection.execute(text(statement))

    database = Database(url, DatabaseOptions(answer_s=1200.0))
    await database.write(insert_rows)
    await database.close()


class GeneratedStore(MemoryStore):
    """A store with the rows of such a manifest, without those that are ``gone`` and with some more."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows
        self.gone: frozenset[int] = frozenset()
        self.surplus = 0
        self.vector = np.zeros(_DIMENSIONS, np.float32)

    async def count(self) -> int:
        return self._rows - len(self.gone) + self.surplus

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        numbers = (n for n in range(1, self._rows + self.surplus + 1) if n not in self.gone)
        while some := list(map(make_id, islice(numbers, 5000))):
            yield some

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        return [self._make_row(int(id_)) for id_ in ids if 0 < int(id_) <= self._rows and int(id_) not in self.gone]

    def _make_row(self, number: int) -> StoredChunk:
        document = f"d{1 + (number - 1) // PER_DOCUMENT}"
        chunk = Chunk(make_id(number), KEY, document, "t", "h", f"text {number}", None)
        return StoredChunk(chunk, self.vector.copy(), f"text {number}")
