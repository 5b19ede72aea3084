"""Counts the questions of other apps, for all processes together: two apps that answer each other never stop."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import turns
from bot.storage.turns.questions import QuestionMessage
from knowledge.database.database import Database

_HOUR_S = 3_600.0
_IS_OTHER = match_columns(turns.c.team) & ~match_columns(turns.c.ts) & (turns.c.created_at > sa.bindparam("since"))
_IS_IN_THREAD = match_columns(turns.c.channel, turns.c.thread_ts) & turns.c.user.like("B%")
_COUNT_IN_THREAD = sa.select(sa.func.count()).select_from(turns).where(_IS_OTHER & _IS_IN_THREAD)
_COUNT_OF_APP = sa.select(sa.func.count()).select_from(turns).where(_IS_OTHER & match_columns(turns.c.user))


class AppTurns:
    """The turns of other apps. ``now`` returns the time in seconds since the epoch."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def count_last_hour(self, message: QuestionMessage) -> tuple[int, int]:
        """Return how many other questions came in the last hour: of all apps in the thread, and of this app anywhere.

        Raises:
            DatabaseError: the database fails.

        """
        place = {"of_team": message.key.team, "of_ts": message.key.ts, "since": self._now() - _HOUR_S}
        thread = {"of_channel": message.key.channel, "of_thread_ts": message.thread_ts}
        in_thread = await self._database.fetch_rows(_COUNT_IN_THREAD, place | thread)
        of_app = await self._database.fetch_rows(_COUNT_OF_APP, place | {"of_user": message.user})
        return int(in_thread[0][0]), int(of_app[0][0])
