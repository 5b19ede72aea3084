"""Refreshes tokens before they expire, and gives clients the newest one.

A refresh token counts once, so one process at a time uses it. If a process dies after Slack has given out the new
tokens and before they are stored, they are lost. The token before works until it expires; then somebody has to install
the app again. The log and ``kvasir doctor`` say so.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError, SlackTokenRotationError
from slack_sdk.oauth.installation_store import Bot
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import BotError
from bot.slack.wire.settings import OAuthSettings
from bot.slack.wire.tasks import run_despite_cancellation
from bot.storage.installations.installations import Installations, StoredInstallation
from bot.storage.installations.token_cipher import BotTokens
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.installations")

MARGIN_S: Final = 2 * 3_600.0
"""How long before its end a token is replaced, at most half of its life. Slack's tokens last 12 hours."""
_FINAL_PROBLEMS: Final = frozenset({"invalid_refresh_token", "token_revoked"})
"""Codes of Slack after which another attempt with the same tokens is useless."""
_WRONG_CLIENT: Final = frozenset({"invalid_client_id", "bad_client_secret"})
_ANY_AGE_MINUTES: Final = 10**9
_STORE_DELAYS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_WAIT_S: Final = 10.0
"""How long a process waits for another one that refreshes a token."""
_LOOK_EVERY_S: Final = 0.1


class TokenRefresher:
    """Gets new tokens from Slack and stores them."""

    def __init__(self, installations: Installations, oauth: OAuthSettings, client: AsyncWebClient) -> None:
        """``client`` has no token."""
        self.installations = installations
        self._rotator = AsyncTokenRotator(client_id=oauth.client_id, client_secret=oauth.client_secret, client=client)
        self._install_url = oauth.install_url

    def find_wait_s(self, installation: StoredInstallation) -> float:
        """Return in how many seconds the token is to be refreshed; infinity for never."""
        if not installation.expires_at or installation.problem in _FINAL_PROBLEMS:
            return math.inf
        margin_s = min(MARGIN_S, (installation.expires_at - installation.refreshed_at) / 2)
        return installation.expires_at - margin_s - self.installations.database.now()

    async def refresh_tokens(self, installation: StoredInstallation) -> StoredInstallation:
        """Return the installation with its newest tokens, refreshed by this process or by another one if that is due.

        Raises:
            DatabaseError: the installation cannot be read.
            TokenKeyError: no key opens its tokens.

        """
        if self.find_wait_s(installation) > 0:
            return installation
        if await self.installations.claim_refresh(installation):
            await run_despite_cancellation(self._exchange_tokens(installation), within_s=_WAIT_S)
        elif installation.expires_at <= self.installations.database.now():
            await self._wait_for_others(installation)
        return await self.installations.find_installation(installation.team) or installation

    async def _wait_for_others(self, installation: StoredInstallation) -> None:
        ends = time.monotonic() + _WAIT_S
        while time.monotonic() < ends:
            found = await self.installations.find_installation(installation.team)
            if found is None or found.version != installation.version or found.problem:
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _exchange_tokens(self, installation: StoredInstallation) -> None:
        tokens = self.installations.open_tokens(installation)
        old = Bot(
            team_id=installation.team,
            bot_token=tokens.bot_token,
            bot_id="",
            bot_user_id="",
            bot_refresh_token=tokens.refresh_token,
            bot_token_expires_at=int(installation.expires_at),
            installed_at=installation.installed_at,
        )
        try:
            bot = await self._rotator.perform_bot_token_rotation(bot=old, minutes_before_expiration=_ANY_AGE_MINUTES)
        except SlackTokenRotationError as error:
            await self._note_problem(installation, _read_code(error))
            return
        except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError) as error:
            _log.warning("token not refreshed", team=installation.team, error=type(error).__name__)
            return
        if bot is None:
            await self._note_problem(installation, "not_a_bot_token")
            return
        await self._store_tokens(
            installation, BotTokens(bot.bot_token, bot.bot_refresh_token or ""), bot.bot_token_expires_at
        )
        _log.info("token refreshed", team=installation.team, workspace=installation.name)

    async def _store_tokens(
        self, installation: StoredInstallation, tokens: BotTokens, expires_at: float | None
    ) -> None:
        """Store the tokens, in several attempts: Slack gives them out once.

        Raises:
            DatabaseError: the last attempt fails.

        """
        for delay_s in _STORE_DELAYS_S:
            try:
                await self.installations.replace_tokens(installation, tokens, expires_at or 0.0)
            except DatabaseError as error:
                _log.warning("refreshed token not stored yet", team=installation.team, error=str(error))
                await asyncio.sleep(delay_s)
            else:
                return
        await self.installations.replace_tokens(installation, tokens, expires_at or 0.0)

    async def _note_problem(self, installation: StoredInstallation, code: str) -> None:
        _log.error(
            "token not refreshed",
            team=installation.team,
            workspace=installation.name,
            code=code,
            works_for_s=max(0, round(installation.expires_at - self.installations.database.now())),
            next_step=f"if this repeats, {find_next_step(code, self._install_url)}",
        )
        await self.installations.note_problem(installation, code)


class WorkspaceToken:
    """Gives the client of a workspace the newest token of its installation."""

    def __init__(self, client: AsyncWebClient, installation: StoredInstallation, refresher: TokenRefresher) -> None:
        """Give the client the stored token.

        Raises:
            TokenKeyError: no key opens it.

        """
        self.client = client
        self.installation = installation
        self._refresher = refresher
        client.token = refresher.installations.open_tokens(installation).bot_token

    async def update_token(self, installation: StoredInstallation) -> bool:
        """Refresh the stored token if that is due, and use it; return whether it is another one.

        Raises:
            DatabaseError: the installation cannot be read.
            TokenKeyError: no key opens the token.

        """
        installation = await self._refresher.refresh_tokens(installation)
        is_other = installation.version != self.installation.version
        if is_other:
            self.client.token = self._refresher.installations.open_tokens(installation).bot_token
        self.installation = installation
        return is_other

    async def renew_token(self, refused: str) -> bool:
        """Read the token again, because Slack refused one; return whether there is another one now."""
        try:
            found = await self._refresher.installations.find_installation(self.installation.team)
            if found is not None and self.client.token == refused:
                await self.update_token(found)
        except (DatabaseError, BotError) as error:
            _log.warning("token not read again", team=self.installation.team, error=str(error))
        return self.client.token != refused


def find_next_step(code: str, install_url: str) -> str:
    """Return what an operator does after Slack has refused to refresh a token."""
    if code in _WRONG_CLIENT:
        return "correct SLACK_CLIENT_ID and SLACK_CLIENT_SECRET in .env and start Kvasir again"
    return f"open {install_url} and install the app there again"


def _read_code(error: SlackTokenRotationError) -> str:
    """Return Slack's code of a refused refresh."""
    answer = getattr(error.api_error.response, "data", None)
    return str(answer.get("error", "")) if isinstance(answer, dict) else "no_json"
