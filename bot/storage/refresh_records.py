"""Stores the messages with the progress of running refreshes, so that a restart does not leave them unfinished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bot.languages.registry import Language
from bot.storage.columns import match_columns
from bot.storage.processes import is_dead, name_this_process
from bot.storage.tables import insert_into, refresh_messages
from knowledge.database.database import Database, transaction

LEASE_S: Final = 60.0
"""How long a refresh counts as running without renewal. A dead process of this machine is noticed earlier."""

_RENEW = sa.update(refresh_messages).where(match_columns(refresh_messages.c.team, refresh_messages.c.owner))
_DELETE = sa.delete(refresh_messages).where(match_columns(*refresh_messages.primary_key.columns))


@dataclass(frozen=True, slots=True)
class RefreshRecord:
    """The message of one refresh, and the words that its end needs."""

    channel: str
    ts: str
    source: str
    """The source that is refreshed, "" for all of them."""
    approves: bool
    """Whether the refresh deletes what an owner has approved."""
    language: Language


class RefreshRecords:
    """The messages of one workspace. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, team: str, now: Callable[[], float] | None = None) -> None:
        self.database = database
        self._team = team
        self._owner = name_this_process()
        self._now = now or database.now

    @transaction
    def save_record(self, connection: sa.Connection, record: RefreshRecord) -> None:
        """Store that this process refreshes and shows it in a message."""
        row = {
            "team": self._team,
            "channel": record.channel,
            "ts": record.ts,
            "source": record.source,
            "approves": record.approves,
            "language": record.language,
            "owner": self._owner,
            "lease_until": self._now() + LEASE_S,
        }
        connection.execute(insert_into(refresh_messages, connection.dialect.name).on_conflict_do_nothing(), row)

    async def remove_record(self, record: RefreshRecord) -> None:
        """Delete a message that shows the end of its refresh."""
        place = {"of_team": self._team, "of_channel": record.channel, "of_ts": record.ts}
        await self.database.write(lambda connection: connection.execute(_DELETE, place))

    async def renew_leases(self) -> None:
        """Store that the refreshes of this process still run."""
        await self._set_lease(self._now() + LEASE_S)

    async def release_leases(self) -> None:
        """Store that the refreshes of this process have ended."""
        await self._set_lease(0.0)

    async def list_abandoned(self) -> list[RefreshRecord]:
        """Return the messages of refreshes that ended with their process."""
        query = sa.select(refresh_messages).where(refresh_messages.c.team == self._team)
        return [
            RefreshRecord(row.channel, row.ts, row.source, row.approves, row.language)
            for row in await self.database.fetch_rows(query)
            if row.lease_until < self._now() or is_dead(row.owner)
        ]

    async def _set_lease(self, until: float) -> None:
        values = {"of_team": self._team, "of_owner": self._owner, "lease_until": until}
        await self.database.write(lambda connection: connection.execute(_RENEW, values))
