"""What Slack told of its public channels, until the knowledge has taken it in; and when anybody was there to be told.

Rows lie in the ledger's database, so that what one process is told, whichever process syncs takes in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
import structlog

from bot.storage.tables import channel_events, connection_periods
from knowledge.database.database import Database, transaction
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.journal")

ALIVE_S = 90.0
"""A process that was connected so lately is taken to be connected still."""
RETENTION_S = 30 * 86_400.0
"""How long news is kept; a listing that is older walks through the channels again."""
_TOUCHING_S = 1.0
"""Two watches that are no further apart are one."""

_BEAT_S = 20.0
_PURGE_EVERY_S = 86_400.0


class ChannelEventKind(StrEnum):
    """What happened to a thread, or to a channel."""

    SAID = "said"
    """A person began a thread, or changed its first message."""
    BOT = "bot"
    """Another app did."""
    SKIPPED = "skipped"
    """Kvasir did, or somebody who spoke to it, or Slack itself; or what began it was deleted."""
    TOUCHED = "touched"
    """A reply came, changed or went."""
    GONE = "gone"
    """The thread was deleted."""
    CHANNEL = "channel"
    """Something about the channel itself: joined, left, renamed, archived."""


@dataclass(frozen=True, slots=True)
class ChannelEvent:
    """One thing that happened; ``root`` is the thread's ``ts``, "" where it is about the channel."""

    channel: str
    root: str
    kind: ChannelEventKind
    event_ts: str


@dataclass(frozen=True, slots=True)
class ConnectionPeriod:
    """From when until when a process was connected, in seconds since the epoch."""

    started_at: float
    last_seen_at: float


def find_coverage_end(watches: Sequence[ConnectionPeriod], since: float, now: float) -> tuple[float, bool]:
    """Return until when nothing was missed that happened after ``since``, and whether that is now. Pure."""
    reached = since
    for watch in sorted(watches, key=lambda watch: watch.started_at):
        if watch.started_at <= reached + _TOUCHING_S:
            reached = max(reached, watch.last_seen_at)
    return reached, reached >= now - ALIVE_S


class ChannelEventLog:
    """The rows of one database. Every method raises ``DatabaseError`` or a subclass, and may be cancelled."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self.database = database
        self._now = now
        self._period = 0
        self._added = asyncio.Event()

    async def add_event(self, team: str, news: ChannelEvent) -> None:
        """Write something down; it survives whatever happens to this process."""
        row = {
            "team": team,
            "channel": news.channel,
            "root": news.root,
            "what": news.kind,
            "event_ts": news.event_ts,
            "noted_at": self._now(),
        }
        await self.database.write(lambda connection: connection.execute(sa.insert(channel_events).values(row)))
        self._added.set()

    async def find_last_number(self, team: str) -> int:
        """Return the number of the newest row, 0 for none."""
        query = sa.select(sa.func.coalesce(sa.func.max(channel_events.c.id), 0)).where(channel_events.c.team == team)
        return int((await self.database.fetch_rows(query))[0][0])

    async def list_events_after(self, team: str, number: int) -> list[tuple[int, ChannelEvent]]:
        """Return what was noted after a row, oldest first, with the rows' numbers."""
        query = (
            sa.select(channel_events)
            .where((channel_events.c.team == team) & (channel_events.c.id > number))
            .order_by(channel_events.c.id)
        )
        return [
            (int(row.id), ChannelEvent(row.channel, row.root, ChannelEventKind(row.what), row.event_ts))
            for row in await self.database.fetch_rows(query)
        ]

    async def wait_for_events(self, team: str, number: int, *, look_s: float) -> int:
        """Wait until there is news after a row, of this process or of another; returns the newest row's number."""
        while (newest := await self.find_last_number(team)) <= number:
            self._added.clear()
            try:
                async with asyncio.timeout(look_s):
                    await self._added.wait()
            except TimeoutError:
                continue
        return newest

    # ── Who was there ────────────────────────────────────────────────────────────────────────────────────────────────

    async def record_heartbeat(self, team: str, *, connected: bool) -> None:
        """Note that this process is connected now, or that it no longer is."""
        if not connected:
            self._period = 0
            return
        self._period = await self._extend_period(team, self._period)

    @transaction
    def _extend_period(self, connection: sa.Connection, team: str, period: int) -> int:
        """Extend a period to now, or begin one; return its number."""
        now = self._now()
        mine = sa.update(connection_periods).where(connection_periods.c.id == period).values(seen=now)
        if period and connection.execute(mine).rowcount:
            return period
        made = connection.execute(sa.insert(connection_periods).values(team=team, began=now, seen=now))
        return int((made.inserted_primary_key or (0,))[0])

    async def list_periods(self, team: str) -> list[ConnectionPeriod]:
        """Return when processes were connected."""
        query = (
            sa.select(connection_periods).where(connection_periods.c.team == team).order_by(connection_periods.c.began)
        )
        return [ConnectionPeriod(row.began, row.seen) for row in await self.database.fetch_rows(query)]

    @transaction
    def purge(self, connection: sa.Connection) -> None:
        """Forget what is older than any listing goes by."""
        before = self._now() - RETENTION_S
        connection.execute(sa.delete(channel_events).where(channel_events.c.noted_at < before))
        connection.execute(sa.delete(connection_periods).where(connection_periods.c.seen < before))


async def record_connection(
    event_log: ChannelEventLog, team: str, is_connected: Callable[[], bool], *, every_s: float = _BEAT_S
) -> None:
    """Note while we are connected that we are, for ever; what cannot be noted is made up for by the next listing."""
    purged_at = float("-inf")
    while True:
        try:
            await event_log.record_heartbeat(team, connected=is_connected())
            if time.monotonic() - purged_at > _PURGE_EVERY_S:
                await event_log.purge()
                purged_at = time.monotonic()
        except DatabaseError as error:
            _log.warning("watch not noted", error=str(error))
        await asyncio.sleep(every_s)
