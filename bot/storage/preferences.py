"""How deep each person wants Kvasir to think, kept in the ledger's database."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from bot.answering.thinking import DEPTHS, Defaults, Depth
from bot.storage.database import LedgerError
from bot.storage.ledger import Ledger

_log = structlog.get_logger(__name__)

_metadata = sa.MetaData()
_preferences = sa.Table(
    "bot_wishes",
    _metadata,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("user", sa.String(32), primary_key=True),
    sa.Column("think", sa.String(16), nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)


class ThinkingPreferences:
    """The rows of one database. ``open``, ``find`` and ``note`` raise ``LedgerError`` or a subclass."""

    def __init__(self, ledger: Ledger, defaults: Defaults | None = None) -> None:
        """Take where they are kept, and what holds for people who did not say."""
        self._ledger = ledger
        self.defaults = defaults or Defaults()

    async def open(self) -> ThinkingPreferences:
        """Make the table where it is missing."""
        await self._ledger.transact(_metadata.create_all)
        return self

    async def find_depth(self, team: str, user: str) -> Depth | None:
        """Return what somebody wished for, None where that is nothing."""
        query = sa.select(_preferences.c.think).where(_is_person(team, user))

        def found(connection: sa.Connection) -> str | None:
            return connection.execute(query).scalar_one_or_none()

        told = await self._ledger.transact(found)
        return next((depth for depth in DEPTHS if depth == told), None)

    async def set_depth(self, team: str, user: str, depth: Depth | None) -> None:
        """Remember a wish from now on; None forgets it."""
        row = {"team": team, "user": user, "think": depth, "updated_at": time.time()}

        def noted(connection: sa.Connection) -> None:
            connection.execute(sa.delete(_preferences).where(_is_person(team, user)))
            if depth is not None:
                connection.execute(_insert(connection).values(row).on_conflict_do_nothing())

        await self._ledger.transact(noted)

    async def choose_depth(self, team: str, user: str, channel: str) -> Depth:
        """Return how deep to think for somebody in a channel: as they wished, else as the channel has it."""
        try:
            wished = await self.find_depth(team, user)
        except LedgerError as error:  # an answer at the usual depth is better than none
            _log.warning("wish not read", error=str(error))
            wished = None
        return wished or self.defaults.of(channel)


def _is_person(team: str, user: str) -> sa.ColumnElement[bool]:
    return sa.and_(_preferences.c.team == team, _preferences.c.user == user)


def _insert(connection: sa.Connection) -> Any:  # noqa: ANN401 (of either dialect)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(_preferences)
