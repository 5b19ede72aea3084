"""Opens the Slack side, connects it over Socket Mode or signed HTTP, and closes it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.dependencies import SlackDependencies
from bot.slack.errors import SlackUnavailable
from bot.slack.incoming.listeners import SlackListeners
from bot.slack.installation import Installation, TokenMonitor, check_token
from bot.slack.owners.digest import WeeklyDigest
from bot.slack.parts import SlackParts
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.posting.rate_limits import choose_rate_limits
from bot.slack.recovery.status_cleaner import StatusCleaner
from bot.slack.settings import SlackSettings
from bot.slack.shared_parts import SharedParts
from bot.slack.tasks import BackgroundTasks
from bot.slack.transport.http_server import HttpServer
from bot.slack.transport.socket_mode import SocketModeClient
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.transport.web_client import copy_without_token, make_web_client, open_http_session
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.turns import TurnManager
from bot.storage.channels.channel_event_log import record_connection
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.open_statuses import OpenStatuses

_log = structlog.get_logger(__name__)

_DRAIN_S = 2.0
"""How long background tasks may continue when the app closes."""
_ALERT_HEARTBEATS = 6
"""After how many heartbeats the sources are looked at again, to tell their owners of a failure."""


class SlackApp:
    """A bot that connects when ``run`` is awaited."""

    def __init__(
        self,
        installation: Installation,
        turns: TurnManager,
        runner: SocketModeClient | HttpServer,
        api: SlackWebApi,
        token_monitor: TokenMonitor,
        *,
        on_connected: Callable[[], None],
        digest: WeeklyDigest,
    ) -> None:
        self.installation = installation
        self._turns = turns
        self._runner = runner
        self._api = api
        self._token_monitor = token_monitor
        self._on_connected = on_connected
        self.digest = digest
        """Sends owners what needs their attention."""

    @property
    def address(self) -> str:
        """Return the bot's HTTP address, or the workspace's name."""
        return self._runner.address or self.installation.workspace_name

    async def connect(self) -> None:
        """Connect, continue the turns of earlier processes, and return once events arrive.

        Raises:
            SlackError: Slack refuses the connection; the text names the next step.
            DatabaseError: the ledger cannot be read.

        """
        await self._turns.start()
        await self._runner.start()
        self._on_connected()
        _log.info("slack connected", transport=self._runner.transport, team=self.installation.me.team)

    async def run(self) -> None:
        """Connect and run until cancelled.

        Raises:
            SlackUnauthorized: the token was revoked or the app removed while it ran.
            SlackError: Slack refuses the connection.

        """
        await self.connect()
        await self.run_until_revoked()

    async def run_until_revoked(self) -> None:
        """Run on a connection that is open.

        Raises:
            SlackUnauthorized: the token was revoked or the app removed while it ran.

        """
        while True:
            await self._token_monitor.wait()
            try:
                await check_token(self._api)
            except (SlackUnavailable, TimeoutError):
                continue  # Slack does not answer; the next refusal starts another check


@contextlib.asynccontextmanager
async def open_slack_app(
    settings: SlackSettings,
    dependencies: SlackDependencies,
    *,
    turn_settings: TurnSettings | None = None,
    capabilities: SlackCapabilities | None = None,
) -> AsyncIterator[SlackApp]:
    """Open the Slack side, which ``run`` connects; on exit, give running answers time to end and close everything.

    Raises:
        SlackError: the token, its scopes or the address is wrong; the text names the next step.
        DatabaseError: the ledger cannot be opened.

    """
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_http_session())
        client = make_web_client(settings.api_url, settings.bot_token, session)
        capabilities = capabilities or SlackCapabilities(limits=choose_rate_limits(settings.api_url))
        api = SlackWebApi(client, reserve=capabilities.limits.reads)
        installation = await check_token(api)
        changes = SharedChanges(dependencies.ledger.database)
        shared = SharedParts(dependencies, client, api, installation.me, changes, capabilities)
        parts = SlackParts(shared)
        token_monitor, tasks = TokenMonitor(), BackgroundTasks()
        turn_settings = turn_settings or TurnSettings()
        turns, listeners = parts.build(turn_settings, token_monitor, tasks)
        cleaner = StatusCleaner(OpenStatuses(dependencies.ledger.database), api, turn_settings.heartbeat_s)
        alerts = parts.owners.build_alerts(turn_settings.heartbeat_s * _ALERT_HEARTBEATS)
        bolt = build_bolt_app(settings, client, installation, listeners)
        runner = _make_runner(settings, bolt, client, token_monitor)
        if isinstance(runner, SocketModeClient):
            runner.on_connected = shared.directory.clear

        def on_connected() -> None:
            cleaner.start()
            parts.heartbeat.start()
            parts.refreshes.start()
            alerts.start()
            if dependencies.event_log is not None:
                recording = record_connection(dependencies.event_log, installation.me.team, lambda: runner.is_connected)
                tasks.start(recording, "connection record")

        app = SlackApp(
            installation,
            turns,
            runner,
            api,
            token_monitor,
            on_connected=on_connected,
            digest=parts.owners.build_digest(),
        )
        stack.push_async_callback(parts.refreshes.close)
        stack.push_async_callback(parts.heartbeat.close)
        stack.push_async_callback(alerts.close)
        changes.start()
        stack.push_async_callback(changes.close)
        stack.push_async_callback(tasks.close, _DRAIN_S)
        stack.push_async_callback(cleaner.close)
        stack.push_async_callback(turns.close)
        stack.push_async_callback(runner.close)
        yield app


def build_bolt_app(
    settings: SlackSettings, client: AsyncWebClient, installation: Installation, listeners: SlackListeners
) -> AsyncApp:
    """Return the Bolt app with every listener; it does not check the token again."""
    me = installation.me

    async def authorize(**_: object) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None, team_id=me.team, bot_user_id=me.user, bot_id=me.bot, bot_token=settings.bot_token
        )

    bolt = AsyncApp(
        name="slack_bolt.kvasir",  # Bolt gives the logger of this name the level of the next one
        logger=logging.getLogger("slack_bolt"),
        client=copy_without_token(client),
        authorize=authorize,
        signing_secret=settings.signing_secret or "",
        request_verification_enabled=True,
        ssl_check_enabled=False,  # this check answers 200 before Bolt verifies the signature
        process_before_response=False,
    )
    listeners.register(bolt)
    return bolt


def _make_runner(
    settings: SlackSettings, bolt: AsyncApp, client: AsyncWebClient, token_monitor: TokenMonitor
) -> SocketModeClient | HttpServer:
    if settings.app_token is not None:
        return SocketModeClient(bolt, settings.app_token, client, on_refused=token_monitor.refuse)
    return HttpServer(bolt, settings.port)
