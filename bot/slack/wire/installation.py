"""The bot's token: its installation, its scopes, and whether Slack still accepts it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bot.slack.wire.errors import SlackError, SlackMissingScope, SlackRefused, SlackUnauthorized
from bot.slack.wire.events import BotUser
from bot.slack.wire.scopes import REQUIRED_SCOPES, SCOPES
from bot.slack.wire.transport.web_api import SlackWebApi, fetch_pages

_log = structlog.get_logger(__name__)

_CHECK_TIMEOUT_S = 30.0
_CONFIRM_DELAYS_S = (0.0, 2.0, 10.0, 60.0)
"""When Slack is asked whether the app is uninstalled: it may repeat an old event after a new installation."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The installation that a token belongs to: the bot's user, the workspace, and the granted scopes."""

    me: BotUser
    workspace_name: str
    scopes: frozenset[str]


class TokenMonitor:
    """Signals that the token may be invalid; ``SlackApp`` then checks it."""

    def __init__(self) -> None:
        self._signal = asyncio.Event()
        self._refusal: SlackError | None = None

    def suspect_token(self, _error: SlackError | None = None) -> None:
        """Signal that the token may be invalid."""
        self._signal.set()

    def report_refusal(self, error: SlackError) -> None:
        """Signal that Slack has refused the connection."""
        self._refusal = error
        self._signal.set()

    async def wait(self) -> None:
        """Wait until the token may be invalid.

        Raises:
            SlackError: Slack has refused the connection.

        """
        await self._signal.wait()
        self._signal.clear()
        if self._refusal is not None:
            raise self._refusal


async def check_token(api: SlackWebApi) -> Installation:
    """Return the installation that the token belongs to.

    Raises:
        SlackUnauthorized: the token is wrong or revoked.
        SlackMissingScope: the app lacks a required scope.
        SlackError: Slack gives no answer.

    """
    async with asyncio.timeout(_CHECK_TIMEOUT_S):
        answer, headers = await api.call_with_headers("auth.test")
    granted = frozenset(scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",") if scope.strip())
    me = await read_bot_user(api, answer)
    missing = list_missing_scopes(granted)
    for scope in REQUIRED_SCOPES:
        if scope in missing:
            raise SlackMissingScope(
                f"The Slack app lacks the scope {scope} (to {SCOPES[scope]}). Add it under OAuth & Permissions at "
                "api.slack.com/apps (`kvasir manifest` prints all of them) and reinstall the app.",
                scope,
            )
    for scope, purpose in missing.items():
        _log.warning("scope missing", scope=scope, without_it=f"Kvasir cannot {purpose}")
    return Installation(me, str(answer.get("team", "")), granted)


async def confirm_uninstallation(api: SlackWebApi, team: str) -> bool:
    """Return whether Slack refuses the token of an app that it says is uninstalled, after several looks."""
    for delay_s in _CONFIRM_DELAYS_S:
        await asyncio.sleep(delay_s)
        try:
            await check_token(api)
        except SlackUnauthorized:
            return True
        except (SlackError, TimeoutError):
            continue
    _log.warning("uninstallation ignored", team=team, reason="Slack accepts the token")
    return False


async def read_bot_user(api: SlackWebApi, answer: Mapping[str, Any]) -> BotUser:
    """Return the bot's identity from the answer of ``auth.test``.

    Raises:
        SlackError: Slack gives no answer.

    """
    enterprise = str(answer.get("enterprise_id") or "")
    return BotUser(
        team=str(answer.get("team_id") or enterprise),  # an installation for a whole organization has no workspace
        user=str(answer.get("user_id", "")),
        bot=str(answer.get("bot_id", "")),
        enterprise=enterprise,
        workspaces=await _list_workspaces(api) if answer.get("is_enterprise_install") else (),
    )


async def _list_workspaces(api: SlackWebApi) -> tuple[str, ...]:
    """Return the workspaces that an org-wide token may access; none if Slack refuses to list them."""
    try:
        pages = await fetch_pages(api.call, "auth.teams.list")
    except SlackRefused as error:
        _log.warning("workspaces not listed", error=str(error), without_it="people and groups are read one by one")
        return ()
    return tuple(str(team["id"]) for page in pages for team in page.get("teams") or () if team.get("id"))


def list_missing_scopes(granted: frozenset[str]) -> dict[str, str]:
    """Return the scopes that a token lacks, and what each is for; none if the server does not list scopes."""
    return {scope: purpose for scope, purpose in SCOPES.items() if granted and scope not in granted}
