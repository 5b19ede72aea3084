"""Opens the Slack side, connects it over Socket Mode or signed HTTP, and closes it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import structlog
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.turns.dependencies import SlackDependencies
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.installation import TokenMonitor, confirm_uninstallation
from bot.slack.wire.settings import SlackSettings
from bot.slack.wire.transport.http_server import HttpServer
from bot.slack.wire.transport.socket_mode import SocketModeClient
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.slack.wire.transport.web_client import make_web_client, open_http_session
from bot.slack.workspace.workspace import SlackWorkspace, WorkspaceTools, open_workspace
from bot.storage.installations.installation_data import InstallationData

_log = structlog.get_logger(__name__)


class SlackApp:
    """A bot in one workspace."""

    def __init__(self, workspace: SlackWorkspace, runner: SocketModeClient | HttpServer) -> None:
        self.workspace = workspace
        self._runner = runner

    @property
    def address(self) -> str:
        """Return the bot's HTTP address, or the workspace's name."""
        return self._runner.address or self.workspace.installation.workspace_name

    async def connect(self) -> None:
        """Connect, continue the turns of earlier processes, and return once events arrive.

        Raises:
            SlackError: Slack refuses the connection; the text names the next step.
            DatabaseError: the ledger cannot be read.

        """
        await self.workspace.start()
        await self._runner.start()
        self.workspace.start_tasks()
        team = self.workspace.installation.me.team
        _log.info("slack connected", transport=self._runner.transport, team=team)

    async def run_until_revoked(self) -> None:
        """Run on a connection that is open.

        Raises:
            SlackUnauthorized: the token was revoked or the app removed while it ran.

        """
        await self.workspace.run_until_revoked()

    async def send_digest(self) -> None:
        """Send owners what needs their attention."""
        await self.workspace.send_digest()


@contextlib.asynccontextmanager
async def open_slack_app(
    settings: SlackSettings,
    dependencies: SlackDependencies,
    *,
    turn_settings: TurnSettings | None = None,
    capabilities: SlackCapabilities | None = None,
) -> AsyncIterator[SlackApp]:
    """Open the Slack side without connecting it; on exit, give running answers time to end and close everything.

    Raises:
        SlackError: the token, its scopes or the address is wrong; the text names the next step.
        DatabaseError: the ledger cannot be opened.

    """
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_http_session())
        client = make_web_client(settings.api_url, settings.bot_token, session)
        changes = dependencies.changes
        tools = WorkspaceTools(
            settings,
            dependencies,
            lambda: runner.is_connected,
            turn_settings or TurnSettings(),
            capabilities,
        )

        async def end_installation(api: SlackWebApi, team: str) -> None:
            if await confirm_uninstallation(api, team):
                await InstallationData(changes.database, team).erase_workspace()

        changes.start()
        stack.push_async_callback(changes.close)
        workspace = await stack.enter_async_context(open_workspace(tools, client, on_uninstalled=end_installation))
        runner = make_runner(settings, workspace.bolt, client, workspace.token_monitor)
        if isinstance(runner, SocketModeClient):
            runner.on_connected = workspace.directory.forget_all
        stack.push_async_callback(runner.close)
        yield SlackApp(workspace, runner)


def make_runner(
    settings: SlackSettings,
    bolt: AsyncApp,
    client: AsyncWebClient,
    token_monitor: TokenMonitor,
    routes: Sequence[web.RouteDef] = (),
) -> SocketModeClient | HttpServer:
    """Return what connects a Bolt app to Slack; an HTTP server has other routes, too."""
    if settings.app_token is not None:
        return SocketModeClient(bolt, settings.app_token, client, on_refused=token_monitor.report_refusal)
    return HttpServer(bolt, settings.port, routes=routes)
