"""Stores what people decide about a thread that Kvasir takes part in, and who talks in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bot.storage.columns import match_columns, match_rows
from bot.storage.tables import insert_into, threads, turns
from knowledge.database.database import Database, transaction

Thread = tuple[str, str, str]
"""Team, channel and root."""

_IS_THREAD = match_columns(*threads.primary_key.columns)
_HAS_ASKED = sa.exists().where(
    match_rows(turns, threads, "team", "channel", "thread_ts"), match_columns(turns.c.user), turns.c.unasked.is_(False)
)
_FIND = sa.select(threads, _HAS_ASKED.label("has_asked")).where(_IS_THREAD)
_LIST_TEAMS = sa.select(threads.c.team).where(
    threads.c.team.in_(sa.bindparam("teams", expanding=True)), match_columns(threads.c.channel, threads.c.thread_ts)
)
_SET_TALKERS = sa.update(threads).where(_IS_THREAD)


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """A thread that Kvasir takes part in."""

    last_at: float
    """When somebody last wrote, in seconds since the epoch."""
    talkers: str
    """Who has written to other people since the last question (``bot.slack.conversations.addressing``)."""
    is_muted: bool
    has_asked: bool
    """Whether the person has asked in this thread."""


class ThreadRecords:
    """The threads. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self.database = database
        self.now = now or database.now

    async def find_thread(self, thread: Thread, user: str) -> ThreadRecord | None:
        """Return a thread as it concerns one person, None if Kvasir does not take part in it."""
        rows = await self.database.fetch_rows(_FIND, {**_name_parameters(thread), "of_user": user})
        for row in rows:
            return ThreadRecord(row.last_at, row.talkers, bool(row.muted), bool(row.has_asked))
        return None

    async def list_teams(self, teams: Collection[str], channel: str, thread_ts: str) -> frozenset[str]:
        """Return the workspaces, of some, whose Kvasir takes part in a thread of a channel that they share."""
        place = {"teams": list(teams), "of_channel": channel, "of_thread_ts": thread_ts}
        return frozenset(str(row.team) for row in await self.database.fetch_rows(_LIST_TEAMS, place))

    async def set_talkers(self, thread: Thread, talkers: str) -> None:
        """Store who talks in a thread after a message of now."""
        values = {**_name_parameters(thread), "talkers": talkers, "last_at": self.now()}
        await self.database.write(lambda connection: connection.execute(_SET_TALKERS, values))

    @transaction
    def set_muted(self, connection: sa.Connection, thread: Thread, *, muted: bool, at: float) -> bool:
        """Mute a thread, or end that. Return False, and change nothing, if a newer decision exists or this one does.

        ``at`` is the time of the decision: Slack may deliver an old one again.
        """
        team, channel, thread_ts = thread
        row = {"team": team, "channel": channel, "thread_ts": thread_ts, "last_at": self.now()}
        statement = _build_mute(connection.dialect.name)
        return connection.execute(statement, {**row, "muted": muted, "muted_at": at}).first() is not None

    async def find_thread_of_answer(self, team: str, channel: str, ts: str) -> Thread | None:
        """Return the thread of one of the bot's answers, None if the message is no answer or a very old one."""
        is_there = (turns.c.team == team) & (turns.c.channel == channel)
        is_answer = turns.c.replies.contains(f'"{ts}"', autoescape=True)
        rows = await self.database.fetch_rows(sa.select(turns.c.thread_ts).where(is_there, is_answer))
        return next(((team, channel, str(row.thread_ts)) for row in rows), None)


@functools.cache
def _build_mute(dialect: str) -> Any:  # noqa: ANN401 - of either dialect
    insert = insert_into(threads, dialect)
    return insert.on_conflict_do_update(
        index_elements=threads.primary_key,
        set_={"muted": insert.excluded.muted, "muted_at": insert.excluded.muted_at},
        where=threads.c.muted_at < insert.excluded.muted_at,
    ).returning(threads.c.thread_ts)


def _name_parameters(thread: Thread) -> dict[str, object]:
    return dict(zip(("of_team", "of_channel", "of_thread_ts"), thread, strict=True))
