"""Backups that are being made. Until they end, syncs go on, and what they delete stays in the store as pending.

So each chunk that the manifest listed when the backup began can be read from the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from knowledge.database.clock import database_time
from knowledge.database.database import Database, transaction
from knowledge.errors import BackupRunning, DatabaseError
from knowledge.sync.manifest.tables import backups

_LIMIT_S: Final = 4 * 3600.0
"""After this time deletions go on, also if the process that makes the backup was killed."""


class RunningBackups:
    """The backups of one database, each with a limit by the clock of the database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def is_any_running(self) -> bool:
        """Return whether a backup is being made.

        Raises:
            DatabaseError: the database failed.

        """
        return bool(await self.database.fetch_rows(select(backups.c.id).where(backups.c.until > database_time())))

    async def refuse_running(self) -> None:
        """Check that none is being made.

        Raises:
            BackupRunning: one is.
            DatabaseError: the database failed.

        """
        if await self.is_any_running():
            raise BackupRunning

    @contextlib.asynccontextmanager
    async def keep_rows(self) -> AsyncIterator[None]:
        """Keep the rows of the store within this block, which may take up to ``_LIMIT_S``.

        Raises:
            DatabaseError: the database failed, or the block took longer.

        """
        id_ = secrets.token_hex(8)
        await self._begin(id_)
        try:
            yield
        except BaseException:
            with contextlib.suppress(DatabaseError):
                await asyncio.shield(self._end(id_))
            raise
        if not await self._end(id_):
            raise DatabaseError(
                f"The backup took longer than {_LIMIT_S / 3600:.0f} hours, so it may lack passages. Make it again."
            )

    @transaction
    def _begin(self, connection: Connection, id_: str) -> None:
        connection.execute(delete(backups).where(backups.c.until <= database_time()))
        connection.execute(insert(backups).values(id=id_, until=database_time() + _LIMIT_S))

    @transaction
    def _end(self, connection: Connection, id_: str) -> bool:
        """Return whether the backup was in time."""
        mine = delete(backups).where(backups.c.id == id_, backups.c.until > database_time())
        return bool(connection.execute(mine).rowcount)
