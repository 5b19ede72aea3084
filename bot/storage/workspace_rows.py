"""Changes all rows of one workspace: a channel gets another id, or the app is uninstalled."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from bot.storage.personal_data import ErasureUndone, close_questions
from bot.storage.shared_changes import ChangeKind, add_change
from bot.storage.tables import answer_shares, audit_people, installations, tables, turns
from knowledge.database.database import Database, transaction

_CACHED = (ChangeKind.PREFERENCE, ChangeKind.VERIFIED, ChangeKind.CHANNEL, ChangeKind.INSTALLATION, ChangeKind.AUDIT)
"""What processes remember of the tables."""
_CHANNEL = {"team", "channel"}


class WorkspaceRows:
    """Everything that is stored about one workspace. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, team: str, *, keeps_audit: bool = False) -> None:
        """``keeps_audit`` keeps the keys that open what the audit says about the people of the workspace."""
        self.database = database
        self._team = team
        self._keeps_audit = keeps_audit

    @transaction
    def move_channel(self, connection: sa.Connection, old: str, new: str) -> None:
        """Give the rows of a channel its new id; where the new id has such a row already, that one stays."""
        for table in tables.sorted_tables:
            if not _CHANNEL.issubset(table.c.keys()):
                continue
            is_old = (table.c.team == self._team) & (table.c.channel == old)
            if key := _find_key(table):
                other = table.alias()
                same = [other.c[name] == table.c[name] for name in key - _CHANNEL]
                exists = sa.exists().where(other.c.team == self._team, other.c.channel == new, *same)
                connection.execute(sa.delete(table).where(is_old & exists))
            connection.execute(sa.update(table).where(is_old).values(channel=new))
        goes_there = (answer_shares.c.team == self._team) & (answer_shares.c.target == old)
        connection.execute(sa.update(answer_shares).where(goes_there).values(target=new))
        add_change(connection, ChangeKind.CHANNEL, "")

    async def erase_workspace(self, *, is_trial: bool = False) -> Mapping[str, int]:
        """Delete the rows of the workspace from every table that has a team; return how many each table had.

        A trial changes nothing.
        """
        try:
            return await self._erase_workspace(is_trial=is_trial)
        except ErasureUndone as undone:
            return undone.counts

    @transaction
    def _erase_workspace(self, connection: sa.Connection, *, is_trial: bool) -> Mapping[str, int]:
        close_questions(connection, turns.c.team == self._team)
        counts = self._delete_rows(connection)
        if is_trial:
            raise ErasureUndone(counts)
        return counts

    @transaction
    def erase_remains(self, connection: sa.Connection) -> None:
        """Delete what a process has stored after another one erased the rows, unless the app is installed again."""
        is_installed = sa.select(installations.c.team).where(installations.c.team == self._team)
        if connection.execute(is_installed).first() is None:
            self._delete_rows(connection)

    def _delete_rows(self, connection: sa.Connection) -> Mapping[str, int]:
        counts = {
            table.name: connection.execute(sa.delete(table).where(table.c.team == self._team)).rowcount
            for table in reversed(tables.sorted_tables)
            if "team" in table.c
        }
        if not self._keeps_audit:
            is_theirs = audit_people.c.person.startswith(f"{self._team}/", autoescape=True)
            counts[audit_people.name] = connection.execute(sa.delete(audit_people).where(is_theirs)).rowcount
        for kind in _CACHED:
            add_change(connection, kind)
        return counts


def _find_key(table: sa.Table) -> set[str]:
    """Return the columns that identify a row together with its channel; none if rows only have a number."""
    unique = [one for one in table.constraints if isinstance(one, sa.PrimaryKeyConstraint | sa.UniqueConstraint)]
    return next((set(one.columns.keys()) for one in unique if "channel" in one.columns), set())
