"""Stores the states of OAuth: each proves once, for a short time, that an installation began here."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import oauth_states
from knowledge.database.database import Database, transaction

LIFETIME_S: Final = 600
_MAX_STATES: Final = 1_000
"""Anybody may begin an installation, so the oldest states go."""

_TAKE = sa.delete(oauth_states).where(
    match_columns(oauth_states.c.state), oauth_states.c.expires_at > sa.bindparam("now")
)
_LATEST = sa.select(oauth_states.c.state).order_by(oauth_states.c.expires_at.desc()).limit(_MAX_STATES)
_DELETE_OLD = sa.delete(oauth_states).where(
    (oauth_states.c.expires_at <= sa.bindparam("now")) | oauth_states.c.state.not_in(_LATEST)
)


class OAuthStates:
    """The states, for all processes. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self.database = database
        self._now = now

    @transaction
    def issue_state(self, connection: sa.Connection) -> str:
        """Return a new state."""
        now, state = self._now(), secrets.token_urlsafe(32)
        connection.execute(sa.insert(oauth_states).values(state=state, expires_at=now + LIFETIME_S))
        connection.execute(_DELETE_OLD, {"now": now})
        return state

    @transaction
    def consume_state(self, connection: sa.Connection, state: str) -> bool:
        """Return whether a state is valid; from then on it is not."""
        return connection.execute(_TAKE, {"of_state": state, "now": self._now()}).rowcount > 0
