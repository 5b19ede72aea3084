"""Erases what is stored about a workspace once the app is uninstalled there."""

from __future__ import annotations

import sqlalchemy as sa

from bot.storage.shared_changes import ChangeKind, add_change
from bot.storage.tables import installations, tables
from knowledge.database.database import Database, transaction

_CACHED = (ChangeKind.PREFERENCE, ChangeKind.VERIFIED, ChangeKind.CHANNEL, ChangeKind.INSTALLATION)
"""What processes remember of the tables."""


class InstallationData:
    """Everything that is stored about one workspace. A method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, team: str) -> None:
        self.database = database
        self._team = team

    @transaction
    def erase_workspace(self, connection: sa.Connection) -> None:
        """Delete the rows of the workspace from every table that has a team."""
        self._delete_rows(connection)

    @transaction
    def erase_remains(self, connection: sa.Connection) -> None:
        """Delete what a process has stored after another one erased the rows, unless the app is installed again."""
        is_installed = sa.select(installations.c.team).where(installations.c.team == self._team)
        if connection.execute(is_installed).first() is None:
            self._delete_rows(connection)

    def _delete_rows(self, connection: sa.Connection) -> None:
        for table in reversed(tables.sorted_tables):
            if "team" in table.c:
                connection.execute(sa.delete(table).where(table.c.team == self._team))
        for kind in _CACHED:
            add_change(connection, kind)
