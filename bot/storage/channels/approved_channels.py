"""Stores which channels that are shared with another company an owner has approved."""

from __future__ import annotations

import time

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import approved_channels, insert_into
from knowledge.database.database import Database, transaction

_IS_CHANNEL = match_columns(approved_channels.c.team, approved_channels.c.channel)
_FIND = sa.select(approved_channels.c.channel).where(_IS_CHANNEL)
_DELETE = sa.delete(approved_channels).where(_IS_CHANNEL)


class ApprovedChannels:
    """The approvals. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def is_approved(self, team: str, channel: str) -> bool:
        """Return whether an owner has approved a channel."""
        return bool(await self.database.fetch_rows(_FIND, {"of_team": team, "of_channel": channel}))

    @transaction
    def set_approved(self, connection: sa.Connection, team: str, channel: str, owner: str, *, approved: bool) -> None:
        """Store that an owner approves a channel, or withdraws the approval."""
        connection.execute(_DELETE, {"of_team": team, "of_channel": channel})
        if approved:
            row = {"team": team, "channel": channel, "owner": owner, "approved_at": time.time()}
            connection.execute(insert_into(approved_channels, connection.dialect.name).on_conflict_do_nothing(), row)
