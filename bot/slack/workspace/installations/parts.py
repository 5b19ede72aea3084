"""Builds what reads and changes installations, for the bot and for commands."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from bot.slack.wire.errors import SlackUnauthorized
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.slack.wire.transport.web_client import SLACK_API_URL, make_web_client, open_http_session
from bot.slack.workspace.installations.admission import Admission
from bot.slack.workspace.installations.oauth_flow import InstallPages
from bot.slack.workspace.installations.token_refresher import TokenRefresher
from bot.slack.workspace.installations.workspace_token import WorkspaceToken
from bot.storage.installations.installations import Installations, StoredInstallation
from bot.storage.installations.oauth_states import OAuthStates
from bot.storage.installations.token_cipher import TokenCipher
from knowledge.database.database import Database


class InstallationParts:
    """The parts that share one session and one database."""

    def __init__(
        self, settings: SlackSettings, oauth: OAuthSettings, database: Database, session: aiohttp.ClientSession
    ) -> None:
        self._api_url = settings.api_url
        self._session = session
        self.client = make_web_client(settings.api_url, None, session)
        self.installations = Installations(database, TokenCipher(oauth.token_keys))
        self.admission = Admission(self.installations, oauth.workspaces)
        self.refresher = TokenRefresher(self.installations, oauth, self.client)
        self.install_url = oauth.install_url
        self._pages = InstallPages(
            oauth,
            settings.api_url or SLACK_API_URL,
            self.installations,
            self.admission,
            OAuthStates(database),
            self.client,
        )

    async def prepare_token(self, installation: StoredInstallation) -> WorkspaceToken:
        """Return the token of an installation in a client of its own, refreshed if that is due.

        Raises:
            DatabaseError: the installation cannot be read.
            TokenKeyError: no key opens its token.

        """
        installation = await self.refresher.refresh_tokens(installation)
        client = make_web_client(self._api_url, None, self._session)
        return WorkspaceToken(client, installation, self.installations, self.refresher)

    @contextlib.asynccontextmanager
    async def open_api(self, installation: StoredInstallation) -> AsyncIterator[SlackWebApi]:
        """Open the Web API of an installation without the rest of the Slack side; raises as ``prepare_token``."""
        token = await self.prepare_token(installation)
        yield SlackWebApi(token.client, renew_token=token.renew_token)

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints of an installation."""
        return self._pages.list_routes()


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
        home = await parts.admission.find_home()
        installed = await parts.installations.list_all()
        found = next((one for one in installed if home and home in {one.team, one.enterprise}), None)
        if found is None:
            raise SlackUnauthorized(
                f"The app is not installed in the first workspace{f' ({home})' if home else ''}. Open "
                f"{oauth.install_url} and install it there."
            )
        async with parts.open_api(found) as api:
            yield api
