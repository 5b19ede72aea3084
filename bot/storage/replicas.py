"""Stores which processes of the bot run, and when each was last alive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.processes import is_dead, is_visible, name_this_process
from bot.storage.tables import insert_into, replicas
from knowledge.database.database import Database, transaction

HEARTBEAT_S: Final = 15.0
MISSING_S: Final = 4 * HEARTBEAT_S
"""A process without a heartbeat for this long is not alive."""
_KEEP_S: Final = 86_400.0
"""How long a process is listed after its last heartbeat."""

_IS_OURS = replicas.c.name == sa.bindparam("us")
_LIST_EVERY = sa.select(replicas).order_by(replicas.c.started_at, replicas.c.name)
_LIST = _LIST_EVERY.where(match_columns(replicas.c.team))
_RENEW = sa.update(replicas).where(_IS_OURS)
_DELETE = sa.delete(replicas).where(_IS_OURS)
_DELETE_OLD = sa.delete(replicas).where(replicas.c.seen_at < sa.bindparam("before"))


@dataclass(frozen=True, slots=True)
class Replica:
    """A process of the bot."""

    name: str
    """The name that ``processes.name_this_process`` returns."""
    team: str
    version: str
    started_at: float
    """Seconds since the epoch, like ``seen_at``."""
    seen_at: float

    @property
    def host(self) -> str:
        """Return the machine's name."""
        return self.name.split("|")[0]

    @property
    def pid(self) -> str:
        """Return the number of the process."""
        return self.name.split("|")[1]


async def list_local_replicas(database: Database) -> Sequence[Replica]:
    """Return the processes of this machine that run now, each once, of all workspaces.

    Raises:
        DatabaseError: the database cannot be read.

    """
    rows = await database.fetch_rows(_LIST_EVERY)
    here = (one for one in (Replica(**row._asdict()) for row in rows) if is_visible(one.name))
    return list({one.pid: one for one in here if not is_dead(one.name)}.values())


class Replicas:
    """The processes of one workspace. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(
        self, database: Database, team: str, version: str, *, name: str = "", now: Callable[[], float] | None = None
    ) -> None:
        """``name`` is that of another process, for tests."""
        self.database = database
        self._now = now or database.now
        self._ours = Replica(name or name_this_process(), team, version, self._now(), self._now())

    @transaction
    def record_heartbeat(self, connection: sa.Connection) -> None:
        """Store that this process is alive, and forget those that died long ago."""
        now, ours = self._now(), self._ours
        connection.execute(_DELETE_OLD, {"before": now - _KEEP_S})
        if not connection.execute(_RENEW.values(seen_at=now), {"us": ours.name}).rowcount:
            row = asdict(ours) | {"seen_at": now}
            connection.execute(insert_into(replicas, connection.dialect.name).on_conflict_do_nothing(), row)

    async def list_all(self) -> Sequence[Replica]:
        """Return the processes of the workspace, the oldest first."""
        rows = await self.database.fetch_rows(_LIST, {"of_team": self._ours.team})
        return [Replica(**row._asdict()) for row in rows]

    async def count_living(self) -> int:
        """Return how many processes of the workspace are alive, at least 1."""
        since = self._now() - MISSING_S
        return max(1, sum(one.seen_at >= since for one in await self.list_all()))

    def now(self) -> float:
        """Return the time of ``Replica.seen_at``."""
        return self._now()

    @transaction
    def remove_replica(self, connection: sa.Connection) -> None:
        """Forget this process, because it ends."""
        connection.execute(_DELETE, {"us": self._ours.name})
