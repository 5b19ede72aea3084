"""Installs the app by OAuth: ``/slack/install`` sends people to Slack, and Slack sends them back with a code."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable

import aiohttp
import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.error import BoltError
from slack_bolt.oauth.async_callback_options import AsyncCallbackOptions, AsyncFailureArgs, AsyncSuccessArgs
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackClientError
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from bot.audit.entries import AuditEntry, AuditLog, Event, name_person
from bot.slack.wire.scopes import SCOPES
from bot.slack.wire.settings import INSTALL_PATH, REDIRECT_PATH
from bot.slack.workspace.installations import pages
from bot.slack.workspace.installations.parts import InstallationParts
from bot.storage.installations.installations import STATE_LIFETIME_S, OAuthStates, StoredInstallation
from bot.storage.installations.token_cipher import BotTokens
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.installations")


class InstallationRefused(BoltError):
    """The workspace may not install the app."""

    def __init__(self, installation: StoredInstallation) -> None:
        super().__init__(f"{installation.team} may not install the app")
        self.installation = installation


class _CodeHandler(logging.Handler):
    """Logs Slack's code of what Bolt reports, whose text has the code of a person."""

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r"'error': '(\w+)'", record.getMessage())
        _log.warning("slack refused the installation", code=found[1] if found else "unknown")


_BOLT_LOGGER = logging.getLogger("kvasir.oauth")
_BOLT_LOGGER.propagate = False
_BOLT_LOGGER.addHandler(_CodeHandler())


class _Store(AsyncInstallationStore, AsyncOAuthStateStore):
    """Stores states, and what Slack returns for a code if the workspace may install the app."""

    def __init__(self, parts: InstallationParts, audit: AuditLog) -> None:
        self._parts = parts
        self._audit = audit
        self._states = OAuthStates(parts.installations.database)

    async def async_issue(self, *_: object, **__: object) -> str:
        return await self._states.issue_state()

    async def async_consume(self, state: str) -> bool:
        return await self._states.consume_state(state)

    async def async_save(self, installation: Installation) -> None:
        stored = _read_installation(installation)
        token = installation.bot_token or ""
        try:
            if not token or not stored.team:
                raise BoltError("Slack returned no bot token")
            if not await self._parts.admits_workspace(stored):
                _log.warning("installation refused", team=stored.team, enterprise=stored.enterprise, name=stored.name)
                await self._give_back(token)
                raise InstallationRefused(stored)
            tokens = BotTokens(token, installation.bot_refresh_token or "")
            await self._parts.installations.save_installation(stored, tokens)
        except DatabaseError as error:
            raise BoltError(str(error)) from error
        facts = {"team": stored.team, "action": "install", "organization": stored.org_wide}
        await self._audit.record(AuditEntry(Event.INSTALLATION, name_person(stored.team, stored.installer), facts))
        _log.info("app installed", team=stored.team, name=stored.name, org_wide=stored.org_wide, by=stored.installer)

    async def _give_back(self, token: str) -> None:
        try:
            await self._parts.client.auth_revoke(token=token)
        except (SlackClientError, aiohttp.ClientError, TimeoutError) as error:
            _log.warning("token not given back", error=type(error).__name__)


def _read_installation(installation: Installation) -> StoredInstallation:
    enterprise, is_org_wide = installation.enterprise_id or "", bool(installation.is_enterprise_install)
    name = installation.enterprise_name if is_org_wide else installation.team_name
    scopes = installation.bot_scopes or ()
    return StoredInstallation(
        team=enterprise if is_org_wide else installation.team_id or "",
        enterprise=enterprise,
        org_wide=is_org_wide,
        name=(name or "")[:200],
        scopes=scopes if isinstance(scopes, str) else ",".join(scopes),
        installer=installation.user_id or "",
        installed_at=time.time(),
        expires_at=float(installation.bot_token_expires_at or 0.0),
    )


class InstallPages:
    """Serves the two addresses of an installation, and its pages."""

    def __init__(self, parts: InstallationParts, audit: AuditLog) -> None:
        oauth, store = parts.oauth, _Store(parts, audit)
        self._install_url = oauth.install_url
        settings = AsyncOAuthSettings(
            client_id=oauth.client_id,
            client_secret=oauth.client_secret,
            scopes=sorted(SCOPES),
            user_scopes=[],
            redirect_uri=oauth.redirect_url,
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            install_page_rendering_enabled=False,
            authorization_url=parts.client.base_url.removesuffix("api/") + "oauth/v2/authorize",
            installation_store=store,
            state_store=store,
            state_expiration_seconds=STATE_LIFETIME_S,
            callback_options=AsyncCallbackOptions(self._show_success, self._show_problem),
            logger=_BOLT_LOGGER,
        )
        self._flow = AsyncOAuthFlow(client=parts.client, logger=_BOLT_LOGGER, settings=settings)

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.get(INSTALL_PATH, self._make_handler(self._flow.handle_installation)),
            web.get(REDIRECT_PATH, self._make_handler(self._flow.handle_callback)),
        ]

    def _make_handler(
        self, handle: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer_request(request: web.Request) -> web.Response:
            try:
                response = await handle(await to_bolt_request(request))
            except DatabaseError as error:
                response = self._make_problem("storage_error", 503, str(error))
            except (aiohttp.ClientError, TimeoutError, OSError, SlackClientError) as error:
                response = self._make_problem("unreachable", 502, type(error).__name__)
            return await to_aiohttp_response(response)

        return answer_request

    async def _show_success(self, arguments: AsyncSuccessArgs) -> BoltResponse:
        stored, app_id = _read_installation(arguments.installation), arguments.installation.app_id or ""
        return _make_page(200, pages.render_success(stored.name or "your workspace", app_id, stored.team))

    async def _show_problem(self, arguments: AsyncFailureArgs) -> BoltResponse:
        error = arguments.error
        if isinstance(error, InstallationRefused):
            return _make_page(403, pages.render_refusal(error.installation.name, error.installation.team))
        return self._make_problem(arguments.reason, arguments.suggested_status_code, str(error or ""))

    def _make_problem(self, reason: str, status: int, error: str) -> BoltResponse:
        _log.warning("app not installed", reason=reason, error=error)
        return _make_page(status, pages.render_problem(reason, self._install_url))


def _make_page(status: int, body: str) -> BoltResponse:
    return BoltResponse(status=status, body=body, headers=dict(pages.HEADERS))
