"""Counts questions for all processes together: those of a minute, by person and channel, and those of other apps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import insert_into, question_counts, turns
from bot.storage.turns.questions import APP_PREFIX, QuestionMessage
from bot.storage.turns.rows import name_parameters
from knowledge.database.database import Database

_MINUTE_S: Final = 60
_KEEP_MINUTES: Final = 10
_DELETE_OLD = sa.delete(question_counts).where(question_counts.c.minute < sa.bindparam("before"))
_HOUR_S = 3_600.0
_IS_IN_THREAD = sa.case((turns.c.thread_ts == sa.bindparam("of_thread_ts"), 1), else_=0)
_COUNT_OF_APPS = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_IS_IN_THREAD), 0)).where(
    match_columns(turns.c.team, turns.c.channel),
    turns.c.ts != sa.bindparam("of_ts"),
    turns.c.created_at > sa.bindparam("since"),
    turns.c.user.startswith(APP_PREFIX),
)


class LimitReached(Exception):
    """As many questions as allowed were counted in this minute."""

    def __init__(self, subject: str, wait_s: float) -> None:
        super().__init__(f"the limit of {subject} is reached for {wait_s:.0f} s")
        self.subject = subject
        self.wait_s = wait_s
        """Seconds until the next minute begins."""


class QuestionCounts:
    """The counts. ``now`` returns the time in seconds since the epoch."""

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self._database = database
        self._now = now or database.now
        self._cleared_in = 0

    async def count_question(self, team: str, limits: Mapping[str, int]) -> None:
        """Count a question for each subject, a person or a channel; ``limits`` has how many are allowed in a minute.

        Raises:
            LimitReached: a subject has reached its limit; nothing is counted.
            DatabaseError: the database fails.

        """
        now = self._now()
        minute = int(now // _MINUTE_S)
        is_new_minute = minute != self._cleared_in

        def add_to_counts(connection: sa.Connection) -> None:
            if is_new_minute:
                connection.execute(_DELETE_OLD, {"before": minute - _KEEP_MINUTES})
            for subject, limit in limits.items():
                row = {"team": team, "subject": subject, "minute": minute, "count": 1}
                if int(connection.execute(_build_count(connection.dialect.name), row).scalar_one()) > limit:
                    raise LimitReached(subject, (minute + 1) * _MINUTE_S - now)

        await self._database.write(add_to_counts)
        self._cleared_in = minute


@functools.cache
def _build_count(dialect: str) -> Any:  # noqa: ANN401 - of either dialect
    """Return the statement that adds one to a count, or begins the count of a new minute."""
    insert = insert_into(question_counts, dialect)
    is_same_minute = question_counts.c.minute == insert.excluded.minute
    count = sa.case((is_same_minute, question_counts.c.count + 1), else_=1)
    return insert.on_conflict_do_update(
        index_elements=question_counts.primary_key, set_={"minute": insert.excluded.minute, "count": count}
    ).returning(question_counts.c.count)


class AppTurns:
    """The questions of other apps: two apps that answer each other never stop.

    ``now`` returns the time in seconds since the epoch.
    """

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self._database = database
        self._now = now or database.now

    async def count_last_hour(self, message: QuestionMessage) -> tuple[int, int]:
        """Return how many other questions of apps came in the last hour in the channel, and of these in the thread.

        Raises:
            DatabaseError: the database fails.

        """
        place = {**name_parameters(message.key), "of_thread_ts": message.thread_ts, "since": self._now() - _HOUR_S}
        ((in_channel, in_thread),) = await self._database.fetch_rows(_COUNT_OF_APPS, place)
        return int(in_channel), int(in_thread)
