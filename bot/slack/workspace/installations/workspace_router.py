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

from bot.slack.wire.events import get_object
from bot.slack.wire.settings import SlackSettings
from bot.slack.workspace.bolt_app import create_bolt_app
from bot.slack.workspace.installations.routing import list_installations, read_shared_message
from bot.slack.workspace.installations.workspaces import WorkspaceNotOpen, Workspaces
from bot.slack.workspace.workspace import SlackWorkspace
from bot.storage.turns.threads import ThreadRecords
from knowledge.database.database import Database
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.installations")

_FIND_S: Final = 2.5
"""Slack waits three seconds. Afterwards it sends an event again, to a workspace that is open by then."""


_TEAM_EVENTS: Final = {"team_access_granted", "team_access_revoked"}
"""An organization has added the app to a workspace, or removed it from one."""


class WorkspaceRouter(AsyncApp):
    """A Bolt app without listeners: it answers what no installed workspace is for, such as Slack's check of the URL."""

    workspaces: Workspaces
    threads: ThreadRecords
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
                others = await self._find_others(req, workspace)
        except (WorkspaceNotOpen, DatabaseError, TimeoutError) as error:
            _log.warning("request not handled", teams=" ".join(teams), error=str(error) or type(error).__name__)
            return BoltResponse(status=503, body="")
        receivers = others if workspace is None else [workspace, *others]
        if not receivers:
            _log.info("app not installed", teams=" ".join(teams))
            return BoltResponse(status=200, body="")
        if kind in _TEAM_EVENTS:
            await self.workspaces.look_again(receivers[0])
        answers = await asyncio.gather(*(one.bolt.async_dispatch(_copy_request(req)) for one in receivers))
        return max(answers, key=lambda answer: int(answer.status))  # if one failed, Slack sends it to all of them again

    async def _find_others(self, request: AsyncBoltRequest, workspace: SlackWorkspace | None) -> list[SlackWorkspace]:
        """Return the other workspaces that a message is for: it mentions their bot, or is in one of their threads."""
        message = read_shared_message(request.body)
        if message is None:
            return []
        opened = {team: one for team, one in self.workspaces.workspaces.items() if one is not workspace}
        taking_part = await self.threads.list_teams(opened, message.channel, message.thread_ts)
        return [
            one for team, one in opened.items() if team in taking_part or one.installation.me.user in message.mentioned
        ]

    def _is_from_slack(self, request: AsyncBoltRequest) -> bool:
        """Return whether Slack has signed a request; the database is not asked about others."""
        if request.mode == "socket_mode":
            return True
        headers = {name: values[0] for name, values in request.headers.items()}
        return self.verifier is not None and self.verifier.is_valid_request(request.raw_body, headers)


def _copy_request(request: AsyncBoltRequest) -> AsyncBoltRequest:
    """Return a request for another app: Bolt keeps in it for which one it is."""
    body = request.raw_body if request.mode == "http" else request.body
    return AsyncBoltRequest(body=body, headers=request.headers, mode=request.mode)


async def _refuse_authorization(**_: object) -> None:
    """Authorize nothing: no workspace is installed for what comes here."""


def create_router(
    settings: SlackSettings, client: AsyncWebClient, workspaces: Workspaces, database: Database
) -> WorkspaceRouter:
    """Return the Bolt app in front of all workspaces."""
    router = create_bolt_app(WorkspaceRouter, settings, client, _refuse_authorization)
    router.workspaces = workspaces
    router.threads = ThreadRecords(database)
    router.verifier = SignatureVerifier(settings.signing_secret) if settings.signing_secret else None
    return router
