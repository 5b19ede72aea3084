"""What a source remembers from one listing to the next, kept beside the manifest."""

from __future__ import annotations

import asyncio
import zlib

from sqlalchemy import delete, insert, select

from knowledge.sync.manifest import tables
from knowledge.sync.manifest.database import Database, whole


class ManifestSourceMemory:
    """``Memory`` of one source, given by its ``SourceKey.id``; compressed."""

    def __init__(self, database: Database, source: str) -> None:
        self._database = database
        self._source = source

    async def load(self) -> bytes | None:
        """Return what was saved last, None for nothing, or for what cannot be read any more.

        Raises:
            ManifestError: the database failed.

        """
        mine = select(tables.memories.c.data).where(tables.memories.c.source == self._source)
        rows = await self._database.rows(mine)
        try:
            return await asyncio.to_thread(zlib.decompress, rows[0][0]) if rows else None
        except zlib.error:
            return None

    async def save(self, data: bytes) -> None:
        """Replace it.

        Raises:
            ManifestError: the database failed.

        """
        await self._put(await asyncio.to_thread(zlib.compress, data))

    @whole
    async def _put(self, data: bytes) -> None:
        async with self._database.writing() as connection:
            await connection.execute(delete(tables.memories).where(tables.memories.c.source == self._source))
            await connection.execute(insert(tables.memories).values(source=self._source, data=data))
