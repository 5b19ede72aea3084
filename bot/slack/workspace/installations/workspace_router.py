"""Passes what Slack sends to the Bolt app of the workspace that it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.wire.events import get_object
from bot.slack.wire.settings import SlackSettings
from bot.slack.workspace.app import SlackWorkspace, create_bolt_app
from bot.slack.workspace.installations.routing import list_installations, read_shared_message
from bot.slack.workspace.installations.workspaces import WorkspaceNotOpen, Workspaces
from bot.storage.turns.threads import ThreadRecords
from knowledge.database.database import Database
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.installations")

_FIND_S: Final = 2.5
"""Slack waits three seconds. Afterwards it sends an event again, to a workspace that is open by then."""

_TEAM_EVENTS: Final = {"team_access_granted", "team_access_revoked"}
"""An organization has added the app to a workspace, or removed it from one."""


class WorkspaceRouter(AsyncMiddleware):
    """Answers requests after Bolt has checked their signatures, so the database is not asked about others.

    Bolt handles what names no workspace, such as Slack's check of the URL.
    """

    def __init__(self, workspaces: Workspaces, threads: ThreadRecords) -> None:
        self._workspaces = workspaces
        self._threads = threads

    async def async_process(
        self,
        *,
        req: AsyncBoltRequest,
        resp: BoltResponse,  # noqa: ARG002 (Bolt's)
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: A002 (Bolt's)
    ) -> BoltResponse | None:
        """Return the answer of the workspace that a request is for; 503 if it is not open now."""
        teams = list_installations(req.body)
        if not teams:
            return await next()
        kind = get_object(req.body, "event").get("type")
        try:
            if kind == "app_uninstalled":
                await self._workspaces.end_installation(teams[0])
                return BoltResponse(status=200, body="")
            async with asyncio.timeout(_FIND_S):
                workspace = await self._workspaces.find_workspace(teams)
                others = await self._find_others(req, workspace)
        except (WorkspaceNotOpen, DatabaseError, TimeoutError) as error:
            _log.warning("request not handled", teams=" ".join(teams), error=str(error) or type(error).__name__)
            return BoltResponse(status=503, body="")
        receivers = others if workspace is None else [workspace, *others]
        if not receivers:
            _log.info("app not installed", teams=" ".join(teams))
            return BoltResponse(status=200, body="")
        if kind in _TEAM_EVENTS:
            await self._workspaces.installations.announce_change(receivers[0].installation.me.team)
        answers = await asyncio.gather(*(one.bolt.async_dispatch(_copy_request(req)) for one in receivers))
        return max(answers, key=lambda answer: int(answer.status))  # if one failed, Slack sends it to all of them again

    async def _find_others(self, request: AsyncBoltRequest, workspace: SlackWorkspace | None) -> list[SlackWorkspace]:
        """Return the other workspaces that a message is for: it mentions their bot, or is in one of their threads."""
        message = read_shared_message(request.body)
        if message is None:
            return []
        opened = {team: one for team, one in self._workspaces.workspaces.items() if one is not workspace}
        taking_part = await self._threads.list_teams(opened, message.channel, message.thread_ts)
        return [
            one for team, one in opened.items() if team in taking_part or one.installation.me.user in message.mentioned
        ]


def _copy_request(request: AsyncBoltRequest) -> AsyncBoltRequest:
    """Return a request for another app: Bolt keeps in it for which one it is."""
    body = request.raw_body if request.mode == "http" else request.body
    return AsyncBoltRequest(body=body, headers=request.headers, mode=request.mode)


async def _refuse_authorization(**_: object) -> None:
    """Authorize nothing: no workspace is installed for what comes here."""


def create_router(
    settings: SlackSettings, client: AsyncWebClient, workspaces: Workspaces, database: Database
) -> AsyncApp:
    """Return the Bolt app in front of all workspaces."""
    return create_bolt_app(
        settings, client, _refuse_authorization, WorkspaceRouter(workspaces, ThreadRecords(database))
    )
