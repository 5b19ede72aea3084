"""Erases what is stored about a workspace once the app is uninstalled there."""

from __future__ import annotations

import sqlalchemy as sa

from bot.storage.shared_changes import ChangeKind, add_change
from bot.storage.tables import tables
from knowledge.database.database import Database, transaction

_CACHED = (ChangeKind.PREFERENCE, ChangeKind.VERIFIED, ChangeKind.CHANNEL)
"""What processes remember of the tables."""


class InstallationData:
    """Everything that is stored about one workspace. A method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, team: str) -> None:
        self.database = database
        self._team = team

    @transaction
    def erase(self, connection: sa.Connection) -> None:
        """Delete the rows of the workspace from every table that has a team."""
        for table in reversed(tables.sorted_tables):
            if "team" in table.c:
                connection.execute(sa.delete(table).where(table.c.team == self._team))
        for kind in _CACHED:
            add_change(connection, kind)
