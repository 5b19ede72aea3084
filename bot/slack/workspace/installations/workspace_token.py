"""The token of a workspace's client, which changes every few hours."""

from __future__ import annotations

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import BotError
from bot.slack.workspace.installations.token_refresher import TokenRefresher
from bot.storage.installations.installations import Installations, StoredInstallation
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.installations")


class WorkspaceToken:
    """Gives a client the newest token of an installation."""

    def __init__(
        self,
        client: AsyncWebClient,
        installation: StoredInstallation,
        installations: Installations,
        refresher: TokenRefresher,
    ) -> None:
        """Give the client the stored token.

        Raises:
            TokenKeyError: no key opens it.

        """
        self.client = client
        self.installation = installation
        self._installations = installations
        self._refresher = refresher
        client.token = installations.open_tokens(installation).bot_token

    async def update_token(self, installation: StoredInstallation) -> bool:
        """Refresh the stored token if that is due, and use it; return whether it is another one.

        Raises:
            DatabaseError: the installation cannot be read.
            TokenKeyError: no key opens the token.

        """
        installation = await self._refresher.refresh_tokens(installation)
        is_other = installation.version != self.installation.version
        if is_other:
            self.client.token = self._installations.open_tokens(installation).bot_token
        self.installation = installation
        return is_other

    async def renew_token(self, refused: str) -> bool:
        """Read the token again, because Slack refused one; return whether there is another one now."""
        try:
            found = await self._installations.find_installation(self.installation.team)
            if found is not None and self.client.token == refused:
                await self.update_token(found)
        except (DatabaseError, BotError) as error:
            _log.warning("token not read again", team=self.installation.team, error=str(error))
        return self.client.token != refused
