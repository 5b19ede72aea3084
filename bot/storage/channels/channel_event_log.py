"""Stores events of Slack's public channels until a sync has used them, and when a process was connected to Slack.

The rows are in the bot's database, so that any process can sync what another one received.
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

_log = structlog.get_logger("kvasir.channel_events")

ALIVE_S = 90.0
"""A process counts as connected for this long after its last heartbeat."""
RETENTION_S = 30 * 86_400.0
"""How long events are stored. A source whose last listing is older lists the channels again."""
_TOUCHING_S = 1.0
"""Two periods with no longer gap between them count as one."""

_BEAT_S = 20.0
_PURGE_EVERY_S = 86_400.0


class ChannelEventKind(StrEnum):
    """What happened to a thread or a channel."""

    SAID = "said"
    """A person began a thread, or edited its first message."""
    BOT = "bot"
    """Another app began a thread, or edited its first message."""
    SKIPPED = "skipped"
    """Kvasir, a person who talks to Kvasir, or Slack began the thread; or its first message was deleted."""
    TOUCHED = "touched"
    """A reply was added, edited or deleted."""
    GONE = "gone"
    CHANNEL = "channel"
    """The channel itself changed: joined, left, renamed, archived."""
    MOVED = "moved"
    """The channel has another id now, which is in the place of the thread."""


@dataclass(frozen=True, slots=True)
class ChannelEvent:
    """An event; ``root`` is the thread's ``ts``, "" if the event is about the channel."""

    channel: str
    root: str
    kind: ChannelEventKind
    event_ts: str


@dataclass(frozen=True, slots=True)
class ConnectionPeriod:
    """When a process was connected, in seconds since the epoch."""

    started_at: float
    last_seen_at: float


def find_coverage_end(periods: Sequence[ConnectionPeriod], since: float, now: float) -> tuple[float, bool]:
    """Return until when no event after ``since`` was missed, and whether that is now. Pure."""
    reached = since
    for period in sorted(periods, key=lambda period: period.started_at):
        if period.started_at <= reached + _TOUCHING_S:
            reached = max(reached, period.last_seen_at)
    return reached, reached >= now - ALIVE_S


class ChannelEventLog:
    """Events and periods. Every method raises ``DatabaseError`` or a subclass, and may be cancelled."""

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self.database = database
        self.now = now or database.now
        self._period_number = 0
        self._added = asyncio.Event()

    async def add_event(self, team: str, event: ChannelEvent) -> None:
        """Store an event. It survives the end of this process."""
        row = {
            "team": team,
            "channel": event.channel,
            "root": event.root,
            "what": event.kind,
            "event_ts": event.event_ts,
            "noted_at": self.now(),
        }
        await self.database.write(lambda connection: connection.execute(sa.insert(channel_events).values(row)))
        self._added.set()

    async def find_last_number(self, team: str) -> int:
        """Return the number of the newest event, 0 if there is none."""
        query = sa.select(sa.func.coalesce(sa.func.max(channel_events.c.id), 0)).where(channel_events.c.team == team)
        return int((await self.database.fetch_rows(query))[0][0])

    async def list_events_after(self, team: str, number: int) -> list[tuple[int, ChannelEvent]]:
        """Return the events after a number, oldest first, with their numbers."""
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
        """Wait until any process has stored an event after a number. Return the number of the newest event."""
        while (newest := await self.find_last_number(team)) <= number:
            self._added.clear()
            try:
                async with asyncio.timeout(look_s):
                    await self._added.wait()
            except TimeoutError:
                continue
        return newest

    # ── Connections ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def record_heartbeat(self, team: str, *, connected: bool) -> None:
        """Store that this process is connected now, or end its period."""
        self._period_number = await self._extend_period(team, self._period_number) if connected else 0

    @transaction
    def _extend_period(self, connection: sa.Connection, team: str, number: int) -> int:
        """Extend a period to now, or begin one. Return its number."""
        now = self.now()
        mine = sa.update(connection_periods).where(connection_periods.c.id == number).values(seen=now)
        if number and connection.execute(mine).rowcount:
            return number
        made = connection.execute(sa.insert(connection_periods).values(team=team, began=now, seen=now))
        return int((made.inserted_primary_key or (0,))[0])

    async def list_periods(self, team: str) -> list[ConnectionPeriod]:
        """Return when processes were connected."""
        query = (
            sa.select(connection_periods).where(connection_periods.c.team == team).order_by(connection_periods.c.began)
        )
        return [ConnectionPeriod(row.began, row.seen) for row in await self.database.fetch_rows(query)]

    @transaction
    def purge_events(self, connection: sa.Connection) -> None:
        """Delete what is older than ``RETENTION_S``."""
        before = self.now() - RETENTION_S
        connection.execute(sa.delete(channel_events).where(channel_events.c.noted_at < before))
        connection.execute(sa.delete(connection_periods).where(connection_periods.c.seen < before))


async def record_connection(
    event_log: ChannelEventLog, team: str, is_connected: Callable[[], bool], *, every_s: float = _BEAT_S
) -> None:
    """Store heartbeats while this process is connected, until cancelled. After a gap the next sync lists everything."""
    purged_at = float("-inf")
    while True:
        try:
            await event_log.record_heartbeat(team, connected=is_connected())
            if time.monotonic() - purged_at > _PURGE_EVERY_S:
                await event_log.purge_events()
                purged_at = time.monotonic()
        except DatabaseError as error:
            _log.warning("connection not recorded", error=str(error))
        await asyncio.sleep(every_s)
