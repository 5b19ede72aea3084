"""How deep each person wants Kvasir to think, kept in the ledger's database."""

from __future__ import annotations

import time

import sqlalchemy as sa
import structlog

from bot.answering.thinking import DEPTHS, Defaults, Depth
from bot.storage.tables import insert_into, preferences
from knowledge.database.database import Database, transaction
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)


class ThinkingPreferences:
    """The rows of one database. ``find_depth`` and ``set_depth`` raise ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, defaults: Defaults | None = None) -> None:
        """Take where they are kept, and what holds for people who did not say."""
        self.database = database
        self.defaults = defaults or Defaults()

    async def find_depth(self, team: str, user: str) -> Depth | None:
        """Return what somebody wished for, None where that is nothing."""
        rows = await self.database.fetch_rows(sa.select(preferences.c.think).where(_is_person(team, user)))
        return next((depth for depth in DEPTHS for row in rows if depth == row.think), None)

    @transaction
    def set_depth(self, connection: sa.Connection, team: str, user: str, depth: Depth | None) -> None:
        """Remember a wish from now on; None forgets it."""
        row = {"team": team, "user": user, "think": depth, "updated_at": time.time()}
        connection.execute(sa.delete(preferences).where(_is_person(team, user)))
        if depth is not None:
            connection.execute(insert_into(preferences, connection).values(row).on_conflict_do_nothing())

    async def choose_depth(self, team: str, user: str, channel: str) -> Depth:
        """Return how deep to think for somebody in a channel: as they wished, else as the channel has it."""
        try:
            wished = await self.find_depth(team, user)
        except DatabaseError as error:  # an answer at the usual depth is better than none
            _log.warning("wish not read", error=str(error))
            wished = None
        return wished or self.defaults.of(channel)


def _is_person(team: str, user: str) -> sa.ColumnElement[bool]:
    return sa.and_(preferences.c.team == team, preferences.c.user == user)
