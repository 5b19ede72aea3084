"""Stores how deep Kvasir thinks for each person."""

from __future__ import annotations

import time

import sqlalchemy as sa
import structlog

from bot.answering.thinking import DEPTHS, Defaults, Depth
from bot.storage.shared_changes import ChangeKind, SharedCache, SharedChanges, add_change
from bot.storage.tables import insert_into, preferences
from knowledge.database.database import Database, transaction
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

# Built once, because building a statement takes longer than running it.
_IS_PERSON = (preferences.c.team == sa.bindparam("of_team")) & (preferences.c.user == sa.bindparam("of_user"))
_FIND = sa.select(preferences.c.think).where(_IS_PERSON)
_DELETE = sa.delete(preferences).where(_IS_PERSON)


class ThinkingPreferences:
    """What people chose. ``find_depth`` and ``set_depth`` raise ``DatabaseError`` or a subclass."""

    def __init__(
        self, database: Database, defaults: Defaults | None = None, shared: SharedChanges | None = None
    ) -> None:
        """Take the database, and the depth for people who chose none."""
        self.database = database
        self.defaults = defaults or Defaults()
        self._chosen: SharedCache[Depth | None] = SharedCache(shared or SharedChanges(database), ChangeKind.PREFERENCE)

    async def find_depth(self, team: str, user: str) -> Depth | None:
        """Return the depth that a person chose, None if they chose none. Other processes may know it seconds later."""
        return await self._chosen.fetch(lambda: self._load_depth(team, user), team, user)

    async def _load_depth(self, team: str, user: str) -> Depth | None:
        rows = await self.database.fetch_rows(_FIND, {"of_team": team, "of_user": user})
        return next((depth for depth in DEPTHS for row in rows if depth == row.think), None)

    async def set_depth(self, team: str, user: str, depth: Depth | None) -> None:
        """Store the depth that a person chooses; None deletes it."""
        await self._store_depth(team, user, depth)
        self._chosen.forget(f"{team} {user}")

    @transaction
    def _store_depth(self, connection: sa.Connection, team: str, user: str, depth: Depth | None) -> None:
        row = {"team": team, "user": user, "think": depth, "updated_at": time.time()}
        connection.execute(_DELETE, {"of_team": team, "of_user": user})
        if depth is not None:
            connection.execute(insert_into(preferences, connection.dialect.name).on_conflict_do_nothing(), row)
        add_change(connection, ChangeKind.PREFERENCE, team, user)

    async def choose_depth(self, team: str, user: str, channel: str) -> Depth:
        """Return how deep to think for a person in a channel: their own choice, or the channel's."""
        try:
            chosen = await self.find_depth(team, user)
        except DatabaseError as error:  # an answer at the default depth is better than none
            _log.warning("preference not read", error=str(error))
            chosen = None
        return chosen or self.defaults.of(channel)
