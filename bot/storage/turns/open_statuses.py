"""Stores in which threads Slack may still show that the bot works, although the turn there has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import sqlalchemy as sa

from bot.storage.columns import match_columns, match_rows
from bot.storage.tables import turns
from bot.storage.turns.questions import UNFINISHED
from knowledge.database.database import Database

_RETRY_S = 60.0
"""When another process tries to clear a status if this one dies meanwhile."""

_others = turns.alias()
_HAS_OPEN_TURN = sa.exists().where(
    match_rows(_others, turns, "team", "channel", "thread_ts"), _others.c.state.in_(UNFINISHED)
)
_DUE = sa.select(turns).where(
    turns.c.clear_status_at > 0.0,
    turns.c.clear_status_at <= sa.bindparam("now"),
    turns.c.team.in_(sa.bindparam("teams", expanding=True)),
    ~_HAS_OPEN_TURN,
)
_IS_TURN = match_columns(turns.c.id)
_TAKE = sa.update(turns).where(_IS_TURN, turns.c.clear_status_at == sa.bindparam("due_at"))
_SETTLE = sa.update(turns).where(_IS_TURN)


class OpenStatus(NamedTuple):
    """A thread's status to clear."""

    id: int
    team: str
    channel: str
    thread_ts: str
    user: str


class OpenStatuses:
    """The statuses to clear. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, teams: Collection[str], now: Callable[[], float] | None = None) -> None:
        """``teams`` are the workspaces of the statuses."""
        self._database = database
        self._teams = list(teams)
        self._now = now or database.now

    async def take_due(self) -> list[OpenStatus]:
        """Return the statuses to clear now, each to one process only; a thread with an open turn keeps its status."""
        rows = await self._database.fetch_rows(_DUE, {"now": self._now(), "teams": self._teams})
        return [
            OpenStatus(row.id, row.team, row.channel, row.thread_ts, row.user)
            for row in rows
            if await self._take_status(row.id, row.clear_status_at)
        ]

    async def _take_status(self, number: int, due_at: float) -> bool:
        values = {"of_id": number, "due_at": due_at, "clear_status_at": self._now() + _RETRY_S}
        return bool(await self._database.write(lambda connection: connection.execute(_TAKE, values).rowcount))

    async def settle_status(self, status: OpenStatus, retry_in_s: float | None) -> None:
        """Store when to try again, None if the status is cleared."""
        values = {"of_id": status.id, "clear_status_at": 0.0 if retry_in_s is None else self._now() + retry_in_s}
        await self._database.write(lambda connection: connection.execute(_SETTLE, values))
