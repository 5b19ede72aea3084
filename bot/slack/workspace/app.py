"""Opens everything that answers in one installation of the app, and connects it over Socket Mode or signed HTTP.

An installation is a workspace, or all workspaces of an organization.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_sdk.web.async_client import AsyncWebClient

from bot.audit.entries import AuditEntry, Event
from bot.http.listeners import Listeners
from bot.slack.features.kit.feature import Feature
from bot.slack.people.directory import SlackDirectory
from bot.slack.people.directory_changes import DirectoryChanges
from bot.slack.people.known_person import KnownPerson, PersonFinder
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.posting.status_line import StatusCleaner
from bot.slack.turns.dependencies import SlackDependencies
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.turns.turns import TurnManager
from bot.slack.wire.errors import SlackUnavailable
from bot.slack.wire.events import AppRemoved
from bot.slack.wire.installation import Installation, TokenMonitor, check_token, confirm_uninstallation
from bot.slack.wire.rate_limits import choose_rate_limits
from bot.slack.wire.settings import SlackSettings
from bot.slack.wire.tasks import BackgroundTasks
from bot.slack.wire.transport.http_server import HttpServer
from bot.slack.wire.transport.socket_mode import SocketModeClient
from bot.slack.wire.transport.web_api import RenewToken, SlackWebApi
from bot.slack.wire.transport.web_client import make_web_client, open_http_session
from bot.slack.workspace.features import build_features
from bot.slack.workspace.listeners import SlackListeners
from bot.storage.channels.channel_event_log import record_connection
from bot.storage.turns.open_statuses import OpenStatuses
from bot.storage.workspace_rows import WorkspaceRows

_log = structlog.get_logger(__name__)

Authorize = Callable[..., Awaitable[AuthorizeResult | None]]
"""Returns the token for a request, None if the app is not installed where it comes from."""

_DRAIN_S = 2.0
"""How long background tasks may continue when a workspace closes."""


@dataclass(frozen=True, slots=True)
class WorkspaceTools:
    """What all workspaces of a process share."""

    settings: SlackSettings
    dependencies: SlackDependencies
    is_connected: Callable[[], bool]
    """Returns whether events of Slack arrive now."""
    turn_settings: TurnSettings
    capabilities: SlackCapabilities | None = None


@dataclass(frozen=True, slots=True)
class SlackWorkspace:
    """One installation of the app. Its events come through ``bolt``."""

    installation: Installation
    teams: frozenset[str]
    """The teams of its rows in the database."""
    bolt: AsyncApp
    api: SlackWebApi
    turns: TurnManager
    directory: SlackDirectory
    people: PersonFinder
    token_monitor: TokenMonitor
    features: Sequence[Feature]
    start_tasks: Callable[[], None]
    """Starts what runs at intervals."""

    async def run_scheduled(self, name: str) -> None:
        """Do what features do when the ``digest`` or the ``audit`` is due."""
        for feature in self.features:
            if name in feature.scheduled:
                await feature.scheduled[name]()

    async def run_until_revoked(self) -> None:
        """Check the token whenever it may be invalid.

        Raises:
            SlackUnauthorized: the token was revoked or the app removed.

        """
        while True:
            await self.token_monitor.wait()
            try:
                await check_token(self.api)
            except (SlackUnavailable, TimeoutError):
                continue  # Slack does not answer; the next refusal starts another check


@contextlib.asynccontextmanager
async def open_workspace(
    tools: WorkspaceTools,
    client: AsyncWebClient,
    *,
    renew_token: RenewToken | None = None,
    home: str | None = None,
    others: frozenset[str] = frozenset(),
) -> AsyncIterator[SlackWorkspace]:
    """Open the installation that the client's token belongs to; on exit, give running answers time to end.

    ``home`` is the first installed workspace or its organization; None says that there is only this one, whose data is
    erased here once the app is uninstalled. ``others`` have an installation of their own, although they may belong to
    the organization of this one.

    Raises:
        SlackError: the token or its scopes are wrong; the text names the next step.

    """
    async with contextlib.AsyncExitStack() as stack:
        settings, changes = tools.settings, tools.dependencies.changes
        capabilities = tools.capabilities or SlackCapabilities(limits=choose_rate_limits(settings.api_url))
        api = SlackWebApi(client, reserve=capabilities.limits.reads, renew_token=renew_token)
        installation = await check_token(api)
        me = installation.me
        teams = me.teams - others
        is_home = home is None or (home != "" and home in {*me.teams, me.enterprise})
        dependencies = replace(
            tools.dependencies,
            ledger=tools.dependencies.ledger.select_teams(teams),
            event_log=tools.dependencies.event_log if is_home else None,
        )
        token_monitor, tasks = TokenMonitor(), BackgroundTasks()

        def handle_removal(removed: AppRemoved) -> None:
            facts = {"team": me.team, "action": "uninstall" if removed.is_uninstalled else "revoke"}
            removal = AuditEntry(Event.INSTALLATION, facts=facts)
            tasks.start(dependencies.audit_log.record(removal), "audit of a removal")
            if removed.is_uninstalled and home is None:
                tasks.start(_erase_uninstalled(api, dependencies, me.team), "end of the installation")
            token_monitor.suspect_token()

        with changes.collect_subscriptions() as subscriptions:
            shared = SharedParts(dependencies, client, api, me, capabilities, tasks, is_home=is_home)
            DirectoryChanges(shared.directory, me.team, changes, tasks)
            turns, home_tab, features = build_features(shared, tools.turn_settings, token_monitor.suspect_token)
        listeners = SlackListeners(shared, turns, home_tab, features, handle_removal)
        stack.callback(changes.unsubscribe, subscriptions)
        cleaner = StatusCleaner(OpenStatuses(shared.database, teams), api, tools.turn_settings.heartbeat_s)
        periodic = [task for feature in features for task in feature.tasks]

        def start_tasks() -> None:
            for task in (cleaner, *periodic):
                task.start()
            if dependencies.event_log is not None:
                recording = record_connection(dependencies.event_log, me.team, tools.is_connected)
                tasks.start(recording, "connection record")

        for task in periodic:
            stack.push_async_callback(task.close)
        stack.push_async_callback(tasks.close, _DRAIN_S)
        stack.push_async_callback(cleaner.close)
        stack.push_async_callback(turns.close)
        yield SlackWorkspace(
            installation,
            teams,
            _build_bolt_app(settings, client, installation, listeners),
            api,
            turns,
            shared.directory,
            PersonFinder(api, shared.viewers, me.team, shared.directory.names),
            token_monitor,
            features,
            start_tasks,
        )


async def _erase_uninstalled(api: SlackWebApi, dependencies: SlackDependencies, team: str) -> None:
    """Erase the data of a workspace if Slack confirms that the app is uninstalled there."""
    if await confirm_uninstallation(api, team):
        await find_rows(dependencies, team).erase_workspace()


def find_rows(dependencies: SlackDependencies, team: str) -> WorkspaceRows:
    """Return the rows of a workspace, whose erasure follows the configuration."""
    keeps_audit = dependencies.configuration.audit.on_erase == "keep"
    return WorkspaceRows(dependencies.ledger.database, team, keeps_audit=keeps_audit)


def _build_bolt_app(
    settings: SlackSettings, client: AsyncWebClient, installation: Installation, listeners: SlackListeners
) -> AsyncApp:
    """Return the Bolt app with every listener; it does not check the token again."""
    me = installation.me

    async def authorize_request(**_: object) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None, team_id=me.team, bot_user_id=me.user, bot_id=me.bot, bot_token=client.token
        )

    bolt = create_bolt_app(settings, client, authorize_request)
    listeners.register_listeners(bolt)
    return bolt


def create_bolt_app(
    settings: SlackSettings,
    client: AsyncWebClient,
    authorize: Authorize,
    before_authorize: AsyncMiddleware | None = None,
) -> AsyncApp:
    """Return a Bolt app without listeners; ``before_authorize`` gets only requests whose signature is valid."""
    return AsyncApp(
        name="slack_bolt.kvasir",  # Bolt gives the logger of this name the level of the next one
        logger=logging.getLogger("slack_bolt"),
        client=make_web_client(client.base_url, None, client.session),  # the token is what ``authorize`` returns
        before_authorize=before_authorize,
        authorize=authorize,  # type: ignore[arg-type]  # Bolt accepts None, too
        signing_secret=settings.signing_secret or "",
        request_verification_enabled=True,
        ssl_check_enabled=False,  # this check answers 200 before Bolt verifies the signature
        process_before_response=False,
    )


class SlackApp:
    """A bot in one workspace."""

    def __init__(self, workspace: SlackWorkspace, runner: SocketModeClient | HttpServer) -> None:
        self.workspace = workspace
        self._runner = runner

    @property
    def address(self) -> str:
        """Return the bot's HTTP address, or the workspace's name."""
        return self._runner.address or self.workspace.installation.workspace_name

    @property
    def is_connected(self) -> bool:
        """Return whether events of Slack arrive now."""
        return self._runner.is_connected

    async def drain(self) -> None:
        """Take no more questions, and return once the running answers have ended, within ``TurnSettings.drain_s``."""
        await self._runner.close()
        await self.workspace.turns.close()

    async def connect(self) -> None:
        """Connect, continue the turns of earlier processes, and return once events arrive.

        Raises:
            SlackError: Slack refuses the connection; the text names the next step.
            DatabaseError: the ledger cannot be read.

        """
        await self.workspace.turns.start()
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

    async def run_scheduled(self, name: str) -> None:
        """Do what is due: send owners the ``digest``, or make the ``audit`` of the security."""
        await self.workspace.run_scheduled(name)

    async def find_person(self, user: str) -> KnownPerson:
        """Return a person of the workspace; raises as ``PersonFinder.find_person``."""
        return await self.workspace.people.find_person(user)


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
            turn_settings or TurnSettings(retention=dependencies.configuration.retention),
            capabilities,
        )
        changes.start()
        stack.push_async_callback(changes.close)
        workspace = await stack.enter_async_context(open_workspace(tools, client))
        runner = make_runner(
            settings, workspace.bolt, client, workspace.token_monitor, listeners=dependencies.listeners
        )
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
    *,
    listeners: Listeners,
) -> SocketModeClient | HttpServer:
    """Return what connects a Bolt app to Slack; an HTTP server has other routes, too."""
    if settings.app_token is not None:
        return SocketModeClient(bolt, settings.app_token, client, on_refused=token_monitor.report_refusal)
    return HttpServer(bolt, settings.port, routes=routes, listeners=listeners)
