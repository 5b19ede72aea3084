"""Opens the Slack side for many workspaces, connects it, and closes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from bot.slack.people.known_person import KnownPerson
from bot.slack.turns.dependencies import SlackDependencies
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.installation import TokenMonitor
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from bot.slack.wire.transport.http_server import HttpServer
from bot.slack.wire.transport.socket_mode import SocketModeClient
from bot.slack.wire.transport.web_client import open_http_session
from bot.slack.workspace.app import WorkspaceTools, make_runner
from bot.slack.workspace.installations.oauth_flow import InstallPages
from bot.slack.workspace.installations.parts import InstallationParts
from bot.slack.workspace.installations.workspace_router import create_router
from bot.slack.workspace.installations.workspaces import Workspaces

_log = structlog.get_logger(__name__)


class InstalledApp:
    """A bot in every workspace that has installed it."""

    def __init__(
        self,
        workspaces: Workspaces,
        runner: SocketModeClient | HttpServer,
        pages: HttpServer | None,
        token_monitor: TokenMonitor,
        install_url: str,
    ) -> None:
        """``pages`` serves the installation if events do not come over HTTP."""
        self.workspaces = workspaces
        self._runner = runner
        self._pages = pages
        self._token_monitor = token_monitor
        self.address = install_url
        """Where people install the app."""

    @property
    def is_connected(self) -> bool:
        """Return whether events of Slack arrive now."""
        return self._runner.is_connected

    async def drain(self) -> None:
        """Take no more questions, and return once the running answers have ended, within ``TurnSettings.drain_s``."""
        await self._runner.close()
        await asyncio.gather(*(one.turns.close() for one in self.workspaces.workspaces.values()))

    async def connect(self) -> None:
        """Open all workspaces, connect, and return once events arrive.

        Raises:
            SlackError: Slack refuses the connection; the text names the next step.
            DatabaseError: the installations cannot be read.

        """
        await self.workspaces.start()
        await self._runner.start()
        if self._pages is not None:
            await self._pages.start()
        workspaces = sorted(self.workspaces.workspaces)
        _log.info("slack connected", transport=self._runner.transport, workspaces=" ".join(workspaces))
        if not workspaces:
            _log.warning("no workspace is open", next_step=f"open {self.address} and install the app")

    async def run_until_revoked(self) -> None:
        """Run on a connection that is open.

        Raises:
            SlackError: Slack refuses the app's own token.

        """
        while True:
            await self._token_monitor.wait()

    async def run_scheduled(self, name: str) -> None:
        """Do what is due in every workspace: send owners the ``digest``, or make the ``audit`` of the security."""
        await asyncio.gather(*(one.run_scheduled(name) for one in self.workspaces.workspaces.values()))

    async def find_person(self, user: str) -> KnownPerson:
        """Return a person of the first installed workspace; raises as ``PersonFinder.find_person``.

        Raises:
            WorkspaceNotOpen: that workspace is not open.

        """
        return await (await self.workspaces.find_home()).people.find_person(user)


@contextlib.asynccontextmanager
async def open_installed_app(
    settings: SlackSettings,
    oauth: OAuthSettings,
    dependencies: SlackDependencies,
    *,
    turn_settings: TurnSettings | None = None,
) -> AsyncIterator[InstalledApp]:
    """Open the Slack side for all workspaces that have installed the app, or will.

    Raises:
        TokenKeyError: a key is not of the right form.

    """
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_http_session())
        changes = dependencies.changes
        parts = InstallationParts(settings, oauth, changes.database, session)
        turn_settings = turn_settings or TurnSettings(retention=dependencies.configuration.retention)
        tools = WorkspaceTools(settings, dependencies, lambda: runner.is_connected, turn_settings)
        workspaces, token_monitor = Workspaces(tools, parts), TokenMonitor()
        routes = InstallPages(parts, dependencies.audit_log).list_routes()
        router = create_router(settings, parts.client, workspaces, changes.database)
        listeners = dependencies.listeners
        runner = make_runner(settings, router, parts.client, token_monitor, routes, listeners=listeners)
        pages = None
        if isinstance(runner, SocketModeClient):
            runner.on_connected = workspaces.forget_directories
            pages = HttpServer(None, settings.port, routes=routes, listeners=listeners)
            stack.push_async_callback(pages.close)
        changes.start()
        stack.push_async_callback(changes.close)
        stack.push_async_callback(workspaces.close)
        stack.push_async_callback(runner.close)
        yield InstalledApp(workspaces, runner, pages, token_monitor, oauth.install_url)
