"""Stores in which workspaces and organizations the app is installed, with encrypted tokens, and states of OAuth.

One process refreshes a token: ``claim_refresh`` gives it a lease, and ``replace_tokens`` replaces only the version that
it has read. Every change has a number of ``SharedChanges``, so the other processes read the new token at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.installations.token_cipher import BotTokens, TokenCipher
from bot.storage.shared_changes import ChangeKind, add_change
from bot.storage.tables import home_workspace, insert_into, installations, oauth_states
from knowledge.database.database import Database, transaction

REFRESH_LEASE_S: Final = 60.0
"""How long one process may take to refresh a token before another one tries."""

_ROW = installations.c
_IS_TEAM = match_columns(_ROW.team)
_IS_VERSION = match_columns(_ROW.team, _ROW.version)
_LIST = sa.select(installations).order_by(_ROW.installed_at, _ROW.team)
_FIND = sa.select(installations).where(_IS_TEAM)
_CLAIM = sa.update(installations).where(_IS_VERSION, _ROW.refresh_until < sa.bindparam("now"))
_UPDATE = sa.update(installations).where(_IS_VERSION)
_HOME = sa.select(home_workspace.c.workspace)

STATE_LIFETIME_S: Final = 600
_MAX_STATES: Final = 1_000
"""Anybody may begin an installation, so the oldest states go."""

_TAKE_STATE = sa.delete(oauth_states).where(
    match_columns(oauth_states.c.state), oauth_states.c.expires_at > sa.bindparam("now")
)
_LATEST_STATES = sa.select(oauth_states.c.state).order_by(oauth_states.c.expires_at.desc()).limit(_MAX_STATES)
_DELETE_OLD_STATES = sa.delete(oauth_states).where(
    (oauth_states.c.expires_at <= sa.bindparam("now")) | oauth_states.c.state.not_in(_LATEST_STATES)
)


@dataclass(frozen=True, slots=True)
class StoredInstallation:
    """The app in one workspace, or in all workspaces of an organization."""

    team: str
    """The workspace; the organization if the app is installed in all its workspaces."""
    enterprise: str
    """The organization of the workspace, "" without one."""
    org_wide: bool
    name: str
    scopes: str
    """The granted scopes, with commas between."""
    installer: str
    installed_at: float
    """When the app was first installed, in seconds since the epoch, like the other times."""
    sealed_tokens: str = field(default="", repr=False)
    version: int = 0
    """Identifies the tokens; refreshed ones have the next number."""
    refreshed_at: float = 0.0
    expires_at: float = 0.0
    """When the bot's token expires, 0.0 for never."""
    problem: str = ""
    """Slack's code for why the token was not refreshed, "" if nothing is wrong."""

    @property
    def granted_scopes(self) -> frozenset[str]:
        """Return the granted scopes."""
        return frozenset(self.scopes.split(",")) - {""}


_NAMES = [one.name for one in fields(StoredInstallation)]


class Installations:
    """The installations. Every method raises ``DatabaseError`` or a subclass, or ``TokenKeyError``."""

    def __init__(self, database: Database, cipher: TokenCipher, now: Callable[[], float] | None = None) -> None:
        self.database = database
        self._cipher = cipher
        self._now = now or database.now

    async def list_all(self) -> Sequence[StoredInstallation]:
        """Return all installations, the first one first."""
        return [_read_row(row) for row in await self.database.fetch_rows(_LIST)]

    async def find_installation(self, team: str) -> StoredInstallation | None:
        """Return an installation, None if there is none."""
        rows = await self.database.fetch_rows(_FIND, {"of_team": team})
        return _read_row(rows[0]) if rows else None

    def open_tokens(self, installation: StoredInstallation) -> BotTokens:
        """Return the tokens of an installation."""
        return self._cipher.decrypt_tokens(installation.team, installation.sealed_tokens)

    @transaction
    def save_installation(self, connection: sa.Connection, installation: StoredInstallation, tokens: BotTokens) -> None:
        """Store an installation with its tokens; a new one of a workspace replaces the one before."""
        team, now = installation.team, self._now()
        row = {name: getattr(installation, name) for name in _NAMES} | {
            "sealed_tokens": self._cipher.encrypt_tokens(team, tokens),
            "version": secrets.randbelow(10**9),  # so that what was read before an uninstallation matches nothing
            "refreshed_at": now,
            "refresh_until": 0.0,
            "problem": "",
        }
        insert = insert_into(installations, connection.dialect.name).values(row)
        changes = {name: insert.excluded[name] for name in row.keys() - {"team", "installed_at"}}
        connection.execute(insert.on_conflict_do_update(index_elements=installations.primary_key, set_=changes))
        add_change(connection, ChangeKind.INSTALLATION)

    @transaction
    def claim_refresh(self, connection: sa.Connection, installation: StoredInstallation) -> bool:
        """Return whether this process, and no other, may refresh the tokens for ``REFRESH_LEASE_S``."""
        now = self._now()
        values = {"now": now, "refresh_until": now + REFRESH_LEASE_S}
        return connection.execute(_CLAIM, values | _name_version(installation)).rowcount > 0

    @transaction
    def replace_tokens(
        self, connection: sa.Connection, installation: StoredInstallation, tokens: BotTokens, expires_at: float
    ) -> bool:
        """Store refreshed tokens; return False if the installation has others meanwhile, or is gone."""
        values = {
            "sealed_tokens": self._cipher.encrypt_tokens(installation.team, tokens),
            "version": installation.version + 1,
            "refreshed_at": self._now(),
            "expires_at": expires_at,
            "refresh_until": 0.0,
            "problem": "",
        }
        add_change(connection, ChangeKind.INSTALLATION)
        return connection.execute(_UPDATE, values | _name_version(installation)).rowcount > 0

    @transaction
    def announce_change(self, connection: sa.Connection, team: str) -> None:
        """Let all processes look at an installation again, unless one refreshes its token and does so anyway."""
        values = {"version": _ROW.version + 1}
        is_free = _ROW.refresh_until < self._now()
        connection.execute(sa.update(installations).where(_ROW.team == team, is_free).values(values))
        add_change(connection, ChangeKind.INSTALLATION)

    async def seal_again(self, installation: StoredInstallation) -> None:
        """Encrypt tokens with the first key if another one did."""
        if self._cipher.is_current(installation.sealed_tokens):
            return
        sealed = self._cipher.encrypt_tokens(installation.team, self.open_tokens(installation))
        values = {"sealed_tokens": sealed} | _name_version(installation)
        await self.database.write(lambda connection: connection.execute(_UPDATE, values))

    async def note_problem(self, installation: StoredInstallation, problem: str) -> None:
        """Store why the tokens were not refreshed; the lease stays, so no process repeats it at once."""
        values = {"problem": problem[:64]} | _name_version(installation)
        await self.database.write(lambda connection: connection.execute(_UPDATE, values))

    @transaction
    def claim_home(self, connection: sa.Connection, team: str) -> str:
        """Return the workspace that was installed first, which is this one if there was none."""
        insert = insert_into(home_workspace, connection.dialect.name).on_conflict_do_nothing()
        connection.execute(insert, {"id": 1, "workspace": team})
        return str(connection.execute(_HOME).scalar_one())

    async def find_home(self) -> str:
        """Return the workspace that was installed first, even if the app is not there any more; "" for none."""
        rows = await self.database.fetch_rows(_HOME)
        return str(rows[0][0]) if rows else ""


class OAuthStates:
    """The states of OAuth. Every method raises ``DatabaseError`` or a subclass.

    Each state proves once, for a short time, that an installation began here.
    """

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self.database = database
        self._now = now or database.now

    @transaction
    def issue_state(self, connection: sa.Connection) -> str:
        """Return a new state."""
        now, state = self._now(), secrets.token_urlsafe(32)
        connection.execute(sa.insert(oauth_states).values(state=state, expires_at=now + STATE_LIFETIME_S))
        connection.execute(_DELETE_OLD_STATES, {"now": now})
        return state

    @transaction
    def consume_state(self, connection: sa.Connection, state: str) -> bool:
        """Return whether a state is valid; from then on it is not."""
        return connection.execute(_TAKE_STATE, {"of_state": state, "now": self._now()}).rowcount > 0


def _read_row(row: sa.Row[Any]) -> StoredInstallation:
    return StoredInstallation(**{name: getattr(row, name) for name in _NAMES})


def _name_version(installation: StoredInstallation) -> dict[str, object]:
    return {"of_team": installation.team, "of_version": installation.version}
