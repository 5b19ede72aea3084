"""Stores how many requests each process runs at engines that all of them use, and divides the places.

A process counts for as long as it renews its lease, so a crash gives its places back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
import structlog

from bot.storage.columns import match_columns
from bot.storage.processes import is_dead, name_this_process
from bot.storage.tables import engine_places, insert_into
from engine.routing.place_keeper import LEASE_S, PlaceLease
from knowledge.database.database import Database, transaction
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

_LOCK: Final = 0x4B7661506C
"""PostgreSQL's advisory lock that a process holds while it changes its places, until its transaction ends."""
_LIST = sa.select(engine_places).where(match_columns(engine_places.c.engine))
_DELETE = sa.delete(engine_places).where(match_columns(engine_places.c.engine, engine_places.c.owner))
_DELETE_OLD = sa.delete(engine_places).where(engine_places.c.lease_until < sa.bindparam("now"))


@dataclass(frozen=True, slots=True)
class PlaceClaim:
    """What one process runs and wants to run."""

    owner: str
    held: int
    wanted: int
    granted_at: float = 0.0
    """When it last got a place, 0.0 for never."""


class EnginePlaces:
    """The places at some engines. ``lease_places`` is as in ``engine.routing.place_keeper.SharedPlaces``."""

    def __init__(
        self, database: Database, urls: Collection[str], *, owner: str = "", now: Callable[[], float] | None = None
    ) -> None:
        """``urls`` are the engines; processes with the same share them. ``owner`` is another one, for tests."""
        self.database = database
        self._engine = hashlib.sha256("\n".join(sorted(urls)).encode()).hexdigest()[:32]
        self._owner = owner or name_this_process()
        self._now = now or database.now
        self._granted_at = 0.0
        self._is_failing = False

    async def lease_places(self, running: int, wanted: int, total: int) -> PlaceLease | None:
        """Return the places of this process, None if the database fails."""
        try:
            lease = await self._lease_places(running, wanted, total)
        except DatabaseError as error:
            if not self._is_failing:  # it is called again at short intervals
                _log.warning("no places at the engine until the database answers", error=str(error))
            self._is_failing = True
            return None
        self._is_failing = False
        return lease

    @transaction
    def _lease_places(self, connection: sa.Connection, running: int, wanted: int, total: int) -> PlaceLease:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        now = self._now()
        connection.execute(_DELETE_OLD, {"now": now})
        others = [
            PlaceClaim(row.owner, row.held, row.wanted, row.granted_at)
            for row in connection.execute(_LIST, {"of_engine": self._engine})
            if row.owner != self._owner and not is_dead(row.owner)
        ]
        ours = PlaceClaim(self._owner, running, wanted, self._granted_at)
        held = grant_places(ours, others, total)
        self._granted_at = now if held > running else self._granted_at
        connection.execute(_DELETE, {"of_engine": self._engine, "of_owner": self._owner})
        if wanted:
            row = {"engine": self._engine, "owner": self._owner, "held": held, "wanted": wanted}
            times = {"granted_at": self._granted_at, "lease_until": now + LEASE_S}
            connection.execute(insert_into(engine_places, connection.dialect.name), row | times)
        greedy = PlaceClaim(self._owner, running, total, self._granted_at)
        return PlaceLease(held, max(held, share_places([*others, greedy], total)[self._owner]))


def grant_places(ours: PlaceClaim, others: Sequence[PlaceClaim], total: int) -> int:
    """Return how many places one process holds from now on, its running requests included.

    It gets what is free, after processes that lack more of their share and have got no place for longer.
    """
    claims = _sort_claims([ours, *others])
    shares = share_places(claims, total)
    free = total - sum(claim.held for claim in claims)
    for claim in claims:
        granted = min(max(0, free), max(0, shares[claim.owner] - claim.held))
        if claim is ours:
            return claim.held + granted
        free -= granted
    return ours.held


def share_places(claims: Sequence[PlaceClaim], total: int) -> dict[str, int]:
    """Return how many places each process should hold: equal shares, and what one does not want goes to the others.

    What cannot be divided goes to those that have got no place for the longest time.
    """
    shares = {claim.owner: 0 for claim in claims}
    unsatisfied = _sort_claims(claims)
    while total > 0 and (unsatisfied := [one for one in unsatisfied if shares[one.owner] < one.wanted]):
        for claim in unsatisfied[:total]:
            shares[claim.owner] += 1
        total -= len(unsatisfied[:total])
    return shares


def _sort_claims(claims: Sequence[PlaceClaim]) -> list[PlaceClaim]:
    return sorted(claims, key=lambda claim: (claim.granted_at, claim.owner))
