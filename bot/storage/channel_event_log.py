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

from bot.storage.database import LedgerError
from bot.storage.ledger import Ledger

_log = structlog.get_logger("kvasir.journal")

ALIVE_S = 90.0
"""A process that was connected so lately is taken to be connected still."""
RETENTION_S = 30 * 86_400.0
"""How long news is kept; a listing that is older walks through the channels again."""
_TOUCHING_S = 1.0
"""Two watches that are no further apart are one."""

_BEAT_S = 20.0
_PURGE_EVERY_S = 86_400.0

_metadata = sa.MetaData()
_events = sa.Table(
    "bot_news",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("channel", sa.String(32), nullable=False),
    sa.Column("root", sa.String(32), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("event_ts", sa.String(32), nullable=False),
    sa.Column("noted_at", sa.Float, nullable=False),
    sa.Index("bot_news_team", "team", "id"),
    sqlite_autoincrement=True,
)
_periods = sa.Table(
    "bot_watches",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("began", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
)


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
    """The rows of one database. Every method raises ``LedgerError`` or a subclass, and may be cancelled."""

    def __init__(self, ledger: Ledger, now: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._now = now
        self._period = 0
        self._added = asyncio.Event()

    async def open(self) -> ChannelEventLog:
        """Make the tables where they are missing."""
        await self._ledger.transact(_metadata.create_all)
        return self

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

        def noted(connection: sa.Connection) -> None:
            connection.execute(sa.insert(_events).values(row))

        await self._ledger.transact(noted)
        self._added.set()

    async def find_last_number(self, team: str) -> int:
        """Return the number of the newest row, 0 for none."""
        query = sa.select(sa.func.coalesce(sa.func.max(_events.c.id), 0)).where(_events.c.team == team)

        def newest(connection: sa.Connection) -> int:
            return int(connection.execute(query).scalar_one())

        return await self._ledger.transact(newest)

    async def list_events_after(self, team: str, number: int) -> list[tuple[int, ChannelEvent]]:
        """Return what was noted after a row, oldest first, with the rows' numbers."""
        query = sa.select(_events).where((_events.c.team == team) & (_events.c.id > number)).order_by(_events.c.id)

        def rows(connection: sa.Connection) -> list[tuple[int, ChannelEvent]]:
            return [
                (int(row.id), ChannelEvent(row.channel, row.root, ChannelEventKind(row.what), row.event_ts))
                for row in connection.execute(query)
            ]

        return await self._ledger.transact(rows)

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
        now = self._now()
        watch = self._period

        def seen(connection: sa.Connection) -> int:
            mine = sa.update(_periods).where(_periods.c.id == watch).values(seen=now)
            if watch and connection.execute(mine).rowcount:
                return watch
            made = connection.execute(sa.insert(_periods).values(team=team, began=now, seen=now))
            return int((made.inserted_primary_key or (0,))[0])

        self._period = await self._ledger.transact(seen)

    async def list_periods(self, team: str) -> list[ConnectionPeriod]:
        """Return when processes were connected."""
        query = sa.select(_periods).where(_periods.c.team == team).order_by(_periods.c.began)

        def rows(connection: sa.Connection) -> list[ConnectionPeriod]:
            return [ConnectionPeriod(row.began, row.seen) for row in connection.execute(query)]

        return await self._ledger.transact(rows)

    async def purge(self) -> None:
        """Forget what is older than any listing goes by."""
        before = self._now() - RETENTION_S

        def purged(connection: sa.Connection) -> None:
            connection.execute(sa.delete(_events).where(_events.c.noted_at < before))
            connection.execute(sa.delete(_periods).where(_periods.c.seen < before))

        await self._ledger.transact(purged)


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
        except LedgerError as error:
            _log.warning("watch not noted", error=str(error))
        await asyncio.sleep(every_s)
