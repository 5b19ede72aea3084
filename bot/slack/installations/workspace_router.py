"""Passes what Slack sends to the Bolt app of the workspace that it is for."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.incoming.bolt_app import create_bolt_app
from bot.slack.incoming.events import get_object
from bot.slack.installations.routing import list_installations
from bot.slack.installations.workspaces import WorkspaceNotOpen, Workspaces
from bot.slack.settings import SlackSettings
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.installations")

_FIND_S: Final = 2.5
"""Slack waits three seconds. Afterwards it sends an event again, to a workspace that is open by then."""


_TEAM_EVENTS: Final = {"team_access_granted", "team_access_revoked"}
"""An organization has added the app to a workspace, or removed it from one."""


class WorkspaceRouter(AsyncApp):
    """A Bolt app without listeners: it answers what no installed workspace is for, such as Slack's check of the URL."""

    workspaces: Workspaces
    verifier: SignatureVerifier | None
    """None for Socket Mode, which needs no signatures."""

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        """Return the answer of the workspace that a request is for; 503 if it is not open now."""
        teams = list_installations(req.body)
        if not teams or not self._is_from_slack(req):
            return await super().async_dispatch(req)
        kind = get_object(req.body, "event").get("type")
        try:
            if kind == "app_uninstalled":
                await self.workspaces.end_installation(teams[0])
                return BoltResponse(status=200, body="")
            async with asyncio.timeout(_FIND_S):
                workspace = await self.workspaces.find_workspace(teams)
        except (WorkspaceNotOpen, DatabaseError, TimeoutError) as error:
            _log.warning("request not handled", teams=" ".join(teams), error=str(error) or type(error).__name__)
            return BoltResponse(status=503, body="")
        if workspace is None:
            _log.info("app not installed", teams=" ".join(teams))
            return BoltResponse(status=200, body="")
        if kind in _TEAM_EVENTS:
            await self.workspaces.look_again(workspace)
        return await workspace.bolt.async_dispatch(req)

    def _is_from_slack(self, request: AsyncBoltRequest) -> bool:
        """Return whether Slack has signed a request; the database is not asked about others."""
        if request.mode == "socket_mode":
            return True
        headers = {name: values[0] for name, values in request.headers.items()}
        return self.verifier is not None and self.verifier.is_valid_request(request.raw_body, headers)


async def _refuse_authorization(**_: object) -> None:
    """Authorize nothing: no workspace is installed for what comes here."""


def create_router(settings: SlackSettings, client: AsyncWebClient, workspaces: Workspaces) -> WorkspaceRouter:
    """Return the Bolt app in front of all workspaces."""
    router = create_bolt_app(WorkspaceRouter, settings, client, _refuse_authorization)
    router.workspaces = workspaces
    router.verifier = SignatureVerifier(settings.signing_secret) if settings.signing_secret else None
    return router
