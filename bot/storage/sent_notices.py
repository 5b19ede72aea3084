"""Stores which messages were sent, such as those to owners, so that several processes send each of them once."""

from __future__ import annotations

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import insert_into, owner_notices
from knowledge.database.database import Database, transaction

_DELETE = sa.delete(owner_notices).where(match_columns(owner_notices.c.team, owner_notices.c.subject))
_DELETE_OLD = sa.delete(owner_notices).where(
    match_columns(owner_notices.c.team, owner_notices.c.kind), owner_notices.c.told_at < sa.bindparam("before")
)
_KEPT_S = 60 * 86_400.0


class SentNotices:
    """The notices. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @transaction
    def add_notice(self, connection: sa.Connection, team: str, kind: str, subject: str) -> bool:
        """Store that people get a message about something; return False if a process has sent it already."""
        row = {"team": team, "subject": f"{kind} {subject}", "kind": kind, "told_at": self.database.now()}
        insert = insert_into(owner_notices, connection.dialect.name).on_conflict_do_nothing()
        return connection.execute(insert, row).rowcount > 0

    @transaction
    def remove_notice(self, connection: sa.Connection, team: str, kind: str, subject: str) -> bool:
        """Store that something is over; return False if there was no message about it, or its end is known."""
        return connection.execute(_DELETE, {"of_team": team, "of_subject": f"{kind} {subject}"}).rowcount > 0

    @transaction
    def purge_notices(self, connection: sa.Connection, team: str, kind: str) -> None:
        """Delete the old records."""
        connection.execute(_DELETE_OLD, {"of_team": team, "of_kind": kind, "before": self.database.now() - _KEPT_S})
