"""Stores what a source remembers from one listing to the next."""

from __future__ import annotations

import asyncio
import zlib

from sqlalchemy import Connection, delete, insert, select

from knowledge.database.database import Database, transaction
from knowledge.sync.manifest import tables


class ManifestSourceMemory:
    """The ``Memory`` of one source, identified by its ``SourceKey.id``. It is stored compressed."""

    def __init__(self, database: Database, source: str) -> None:
        self.database = database
        self._source = source

    async def load(self) -> bytes | None:
        """Return what was saved last, None if there is nothing, or if it is unreadable.

        Raises:
            DatabaseError: the database failed.

        """
        mine = select(tables.memories.c.data).where(tables.memories.c.source == self._source)
        rows = await self.database.fetch_rows(mine)
        try:
            return await asyncio.to_thread(zlib.decompress, rows[0][0]) if rows else None
        except zlib.error:
            return None

    async def save(self, data: bytes) -> None:
        """Replace what was saved.

        Raises:
            DatabaseError: the database failed.

        """
        await self._store_data(await asyncio.to_thread(zlib.compress, data))

    @transaction
    def _store_data(self, connection: Connection, data: bytes) -> None:
        connection.execute(delete(tables.memories).where(tables.memories.c.source == self._source))
        connection.execute(insert(tables.memories).values(source=self._source, data=data))
