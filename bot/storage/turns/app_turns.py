"""Counts the questions of other apps, for all processes together: two apps that answer each other never stop."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import turns
from bot.storage.turns.questions import APP_PREFIX, QuestionMessage
from bot.storage.turns.rows import name_parameters
from knowledge.database.database import Database

_HOUR_S = 3_600.0
_IS_IN_THREAD = sa.case((turns.c.thread_ts == sa.bindparam("of_thread_ts"), 1), else_=0)
_COUNT = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_IS_IN_THREAD), 0)).where(
    match_columns(turns.c.team, turns.c.channel),
    turns.c.ts != sa.bindparam("of_ts"),
    turns.c.created_at > sa.bindparam("since"),
    turns.c.user.startswith(APP_PREFIX),
)


class AppTurns:
    """The turns of other apps. ``now`` returns the time in seconds since the epoch."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def count_last_hour(self, message: QuestionMessage) -> tuple[int, int]:
        """Return how many other questions of apps came in the last hour in the channel, and of these in the thread.

        Raises:
            DatabaseError: the database fails.

        """
        place = {**name_parameters(message.key), "of_thread_ts": message.thread_ts, "since": self._now() - _HOUR_S}
        ((in_channel, in_thread),) = await self._database.fetch_rows(_COUNT, place)
        return int(in_channel), int(in_thread)
