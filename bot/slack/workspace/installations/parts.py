"""Builds what reads and changes installations, for the bot and for commands, and decides who may install the app."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp

from bot.slack.wire.errors import SlackUnauthorized
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.slack.wire.transport.web_client import make_web_client, open_http_session
from bot.slack.workspace.installations.token_refresher import TokenRefresher, WorkspaceToken
from bot.storage.installations.installations import Installations, StoredInstallation
from bot.storage.installations.token_cipher import TokenCipher
from knowledge.database.database import Database


class InstallationParts:
    """The parts that share one session and one database.

    Only the workspaces that ``kvasir.toml`` names may install the app.
    """

    def __init__(
        self, settings: SlackSettings, oauth: OAuthSettings, database: Database, session: aiohttp.ClientSession
    ) -> None:
        self.oauth = oauth
        self._api_url = settings.api_url
        self._session = session
        self.client = make_web_client(settings.api_url, None, session)
        self.installations = Installations(database, TokenCipher(oauth.token_keys))
        self.refresher = TokenRefresher(self.installations, oauth, self.client)

    async def find_home(self) -> str:
        """Return the workspace or organization whose members are everybody, "" as long as there is none."""
        return self.oauth.workspaces[0] if self.oauth.workspaces else await self.installations.find_home()

    def covers_workspace(self, installation: StoredInstallation) -> bool:
        """Return whether Kvasir answers in an installed workspace: it may have left the list since."""
        allowed = self.oauth.workspaces
        return not allowed or not {installation.team, installation.enterprise}.isdisjoint(allowed)

    async def admits_workspace(self, installation: StoredInstallation) -> bool:
        """Return whether a workspace or organization may install the app.

        Without a list, only the first one of an earlier version may, again: nobody becomes the home of the documents by
        being the first.

        Raises:
            DatabaseError: the first workspace cannot be read or stored.

        """
        allowed = self.oauth.workspaces
        home = await (self.installations.claim_home(allowed[0]) if allowed else self.installations.find_home())
        return not {installation.team, installation.enterprise}.isdisjoint(allowed or {home} - {""})

    async def prepare_token(self, installation: StoredInstallation) -> WorkspaceToken:
        """Return the token of an installation in a client of its own, refreshed if that is due.

        Raises:
            DatabaseError: the installation cannot be read.
            TokenKeyError: no key opens its token.

        """
        installation = await self.refresher.refresh_tokens(installation)
        return WorkspaceToken(make_web_client(self._api_url, None, self._session), installation, self.refresher)

    @contextlib.asynccontextmanager
    async def open_api(self, installation: StoredInstallation) -> AsyncIterator[SlackWebApi]:
        """Open the Web API of an installation without the rest of the Slack side; raises as ``prepare_token``."""
        token = await self.prepare_token(installation)
        yield SlackWebApi(token.client, renew_token=token.renew_token)


@contextlib.asynccontextmanager
async def open_home_api(
    settings: SlackSettings, oauth: OAuthSettings, database: Database
) -> AsyncIterator[SlackWebApi]:
    """Open the Web API of the first installed workspace.

    Raises:
        SlackUnauthorized: the app is not installed there.
        DatabaseError: the installation cannot be read.
        TokenKeyError: no key opens its token.

    """
    async with open_http_session() as session:
        parts = InstallationParts(settings, oauth, database, session)
        home, installed = await parts.find_home(), await parts.installations.list_all()
        found = next((one for one in installed if home and home in {one.team, one.enterprise}), None)
        if found is None:
            raise SlackUnauthorized(
                f"The app is not installed in the first workspace{f' ({home})' if home else ''}. Open "
                f"{oauth.install_url} and install it there."
            )
        async with parts.open_api(found) as api:
            yield api
