"""Moves what is stored about a channel to its new id."""

from __future__ import annotations

import sqlalchemy as sa

from bot.storage.shared_changes import ChangeKind, add_change
from bot.storage.tables import answer_shares, tables
from knowledge.database.database import Database, transaction

_CHANNEL = {"team", "channel"}


class ChannelMoves:
    """Changes the id of a channel in every table of one workspace. A method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, team: str) -> None:
        self.database = database
        self._team = team

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


def _find_key(table: sa.Table) -> set[str]:
    """Return the columns that identify a row together with its channel; none if rows only have a number."""
    unique = [one for one in table.constraints if isinstance(one, sa.PrimaryKeyConstraint | sa.UniqueConstraint)]
    return next((set(one.columns.keys()) for one in unique if "channel" in one.columns), set())
