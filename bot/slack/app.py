"""The Slack side as one thing that is opened, run and closed: over Socket Mode or signed HTTP, the same listeners."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.answering.policy import Policies
from bot.answering.thinking import Defaults
from bot.config.configuration import Access
from bot.document_additions import DocumentAdditions
from bot.page_additions import PageAdditions
from bot.slack.actions.add_page import AddPageAction
from bot.slack.actions.search_web import SearchWebAction
from bot.slack.actions.show_passage import FindPassage, ShowPassageAction
from bot.slack.commands.kb import KbCommand, KnowledgeLibrary
from bot.slack.commands.think import ThinkCommand
from bot.slack.errors import SlackError, SlackMissingScope, SlackUnavailable
from bot.slack.events import BotUser
from bot.slack.file_intake import FileIntake
from bot.slack.listeners import SlackListeners
from bot.slack.manifest import REQUIRED_SCOPES, SCOPES
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.settings import SlackSettings
from bot.slack.tasks import BackgroundTasks
from bot.slack.transport.http_server import HttpServer
from bot.slack.transport.socket_mode import SocketModeClient
from bot.slack.transport.web_api import CALL_TIMEOUT_S, SlackWebApi
from bot.slack.turns.turns import QuestionAnswerer, TurnManager, TurnSettings
from bot.storage.channel_event_log import ChannelEventLog, record_connection
from bot.storage.ledger import Ledger
from bot.storage.preferences import ThinkingPreferences
from engine.interfaces import EngineStatus, ThinkingControl

_log = structlog.get_logger(__name__)

SLACK_API_URL = "https://slack.com/api/"
_CHECK_TIMEOUT_S = 30.0
_MAX_CONNECTIONS = 64
"""Connections to Slack at once."""


@dataclass(frozen=True, slots=True)
class SlackDependencies:
    """What the Slack side is given."""

    ledger: Ledger
    answerer: QuestionAnswerer
    library: KnowledgeLibrary
    engine_status: Callable[[], EngineStatus]
    apology: Callable[[BaseException], str]
    event_log: ChannelEventLog | None = None
    """Where what is said in public channels is noted, if they are a source."""
    adding: DocumentAdditions | None = None
    """What keeps the files that owners send."""
    pages: PageAdditions | None = None
    """What keeps the pages of the web that owners add."""
    passage: FindPassage | None = None
    """What returns whole passages, by their chunks."""
    access: Access = field(default_factory=Access)
    """Who may manage the knowledge."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """What narrows every search of a channel, by the channel's id."""
    thinking: Defaults = field(default_factory=Defaults)
    """How deep is thought for people who did not say."""
    web: Policies = field(default_factory=Policies)
    """What of the live web may be asked where."""
    control: Callable[[], ThinkingControl | None] = lambda: None
    """What the engine can make of such a wish; None before one is there."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What Slack tells about the token: who the bot is, and what it may do."""

    me: BotUser
    workspace_name: str
    scopes: frozenset[str]


class TokenMonitor:
    """Whether Slack still takes us: raised wherever it is noticed, looked into by whoever runs the app."""

    def __init__(self) -> None:
        self._raised = asyncio.Event()
        self._refusal: SlackError | None = None

    def suspect(self, _error: SlackError | None = None) -> None:
        """Note that the token may not be good any more."""
        self._raised.set()

    def refuse(self, error: SlackError) -> None:
        """Note that Slack has refused the connection itself."""
        self._refusal = error
        self._raised.set()

    async def wait(self) -> None:
        """Wait for a doubt.

        Raises:
            SlackError: it is no doubt any more.

        """
        await self._raised.wait()
        self._raised.clear()
        if self._refusal is not None:
            raise self._refusal


class SlackApp:
    """A bot that is connected once ``run`` is awaited."""

    def __init__(
        self,
        installation: Installation,
        turns: TurnManager,
        runner: SocketModeClient | HttpServer,
        api: SlackWebApi,
        token_monitor: TokenMonitor,
        on_connected: Callable[[], None] = lambda: None,
    ) -> None:
        self.identity = installation
        self._turns = turns
        self._runner = runner
        self._api = api
        self._doubts = token_monitor
        self._on_connected = on_connected

    @property
    def address(self) -> str:
        """Return where it is reached, for a person: the workspace's name, or the HTTP address."""
        return self._runner.address or self.identity.workspace_name

    async def connect(self) -> None:
        """Connect, and answer what a former process left open; returns once events arrive.

        Raises:
            SlackError: Slack refuses the connection; the text names the next step.
            LedgerError: the ledger cannot be read.

        """
        await self._turns.start()
        await self._runner.start()
        self._on_connected()
        _log.info("slack connected", transport=self._runner.transport, team=self.identity.me.team)

    async def run(self) -> None:
        """Connect and run until cancelled.

        Raises:
            SlackUnauthorized: the token was revoked or the app removed while it ran.
            SlackError: Slack refuses the connection.

        """
        await self.connect()
        await self.run_until_revoked()

    async def run_until_revoked(self) -> None:
        """Run on, once connected.

        Raises:
            SlackUnauthorized: the token was revoked or the app removed while it ran.

        """
        while True:
            await self._doubts.wait()
            try:
                await check_token(self._api)
            except (SlackUnavailable, TimeoutError):
                continue  # nothing is known; the next refusal asks again


async def check_token(api: SlackWebApi) -> Installation:
    """Ask Slack whose token this is.

    Raises:
        SlackUnauthorized: the token is wrong or revoked.
        SlackMissingScope: the app lacks a right without which nothing works.
        SlackError: Slack cannot be asked.

    """
    async with asyncio.timeout(_CHECK_TIMEOUT_S):
        answer, headers = await api.call_with_headers("auth.test")
    granted = frozenset(scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",") if scope.strip())
    me = BotUser(
        team=str(answer.get("team_id", "")), user=str(answer.get("user_id", "")), bot=str(answer.get("bot_id", ""))
    )
    _check_scopes(granted)
    return Installation(me, str(answer.get("team", "")), granted)


def _check_scopes(granted: frozenset[str]) -> None:
    if not granted:
        return  # a server that does not tell
    for scope in REQUIRED_SCOPES:
        if scope not in granted:
            raise SlackMissingScope(
                f"The Slack app lacks the scope {scope} (to {SCOPES[scope]}). Add it under OAuth & Permissions at "
                "api.slack.com/apps (`kvasir manifest` prints all of them) and reinstall the app.",
                scope,
            )
    for scope in SCOPES.keys() - granted:
        _log.warning("scope missing", scope=scope, without_it=f"Kvasir cannot {SCOPES[scope]}")


@contextlib.asynccontextmanager
async def open_slack_app(
    settings: SlackSettings,
    dependencies: SlackDependencies,
    *,
    turn_settings: TurnSettings | None = None,
    capabilities: SlackCapabilities | None = None,
    answer_in_shared: bool = False,
) -> AsyncIterator[SlackApp]:
    """Open the Slack side; ``run`` connects it. Leaving lets running answers end for a while, then closes everything.

    Raises:
        SlackError: the token, its scopes or the address is wrong; the text names the next step.
        LedgerError: the ledger cannot be opened.

    """
    turn_settings = replace(turn_settings or TurnSettings(), channels=dependencies.channels, web=dependencies.web)
    capabilities = capabilities or SlackCapabilities()
    capabilities.can_show_passages = dependencies.passage is not None
    capabilities.can_add_pages = dependencies.pages is not None and bool(dependencies.access.owners)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(_open_http_session())
        client = make_web_client(settings.api_url, settings.bot_token, session)
        api = SlackWebApi(client)
        installation = await check_token(api)

        token_monitor = TokenMonitor()

        async def respond(url: str, payload: Mapping[str, Any]) -> bool:
            return await _post_to_response_url(client, url, payload)

        turns = TurnManager(
            dependencies.ledger,
            dependencies.answerer,
            api,
            installation.me,
            apology=dependencies.apology,
            settings=turn_settings,
            capabilities=capabilities,
            on_unauthorized=token_monitor.suspect,
        )
        preferences = await ThinkingPreferences(dependencies.ledger, dependencies.thinking).open()
        turns.asking.depth = preferences.choose_depth
        if dependencies.adding is not None:
            turns.intake = FileIntake(api, client, dependencies.adding, dependencies.access)
        kb = KbCommand(
            dependencies.library,
            dependencies.engine_status,
            api,
            respond,
            apology=dependencies.apology,
            access=dependencies.access,
            channels=dependencies.channels,
        )
        tasks = BackgroundTasks()
        desk = SlackListeners(
            installation.me,
            turns,
            kb,
            ThinkCommand(
                preferences, dependencies.control, installation.me.team, api, respond, apology=dependencies.apology
            ),
            SearchWebAction(turns.threads, turns, installation.me.team),
            api,
            tasks,
            dependencies.apology,
            on_removed=token_monitor.suspect,
            answer_in_shared=answer_in_shared,
            pages=AddPageAction(dependencies.pages, dependencies.access, api)
            if dependencies.pages is not None
            else None,
            passages=ShowPassageAction(dependencies.passage, api) if dependencies.passage is not None else None,
            event_log=dependencies.event_log,
        )
        bolt = build_bolt_app(settings, client, installation, desk)
        runner = _make_runner(settings, bolt, client, token_monitor)

        def watch() -> None:
            if dependencies.event_log is not None:
                watching = record_connection(dependencies.event_log, installation.me.team, lambda: runner.connected)
                tasks.start(watching, "watch kept")

        app = SlackApp(installation, turns, runner, api, token_monitor, watch)
        stack.push_async_callback(tasks.close, 2.0)
        stack.push_async_callback(turns.close)
        stack.push_async_callback(runner.close)
        yield app


def build_bolt_app(
    settings: SlackSettings, client: AsyncWebClient, installation: Installation, desk: SlackListeners
) -> AsyncApp:
    """Return the Bolt app with every listener; the token was asked for its owner once, and is not asked again."""
    me = installation.me

    async def authorize(**_: object) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None, team_id=me.team, bot_user_id=me.user, bot_id=me.bot, bot_token=settings.bot_token
        )

    bolt = AsyncApp(
        name="kvasir",
        logger=logging.getLogger("slack_bolt"),
        client=_without_token(client),
        authorize=authorize,
        signing_secret=settings.signing_secret or "",
        request_verification_enabled=True,
        ssl_check_enabled=False,  # it would answer 200 before the signature is looked at
        process_before_response=False,
    )
    desk.register(bolt)
    return bolt


def _without_token(client: AsyncWebClient) -> AsyncWebClient:
    """Return the same client without its token: Bolt takes the one that ``authorize`` gives."""
    return AsyncWebClient(base_url=client.base_url, session=client.session, logger=client.logger, retry_handlers=[])


def _make_runner(
    settings: SlackSettings, bolt: AsyncApp, client: AsyncWebClient, token_monitor: TokenMonitor
) -> SocketModeClient | HttpServer:
    if settings.app_token is not None:
        return SocketModeClient(bolt, settings.app_token, client, on_refused=token_monitor.refuse)
    return HttpServer(bolt, settings.port)


@contextlib.asynccontextmanager
async def open_web_api(settings: SlackSettings) -> AsyncIterator[SlackWebApi]:
    """Open the Web API alone, for the length of a block."""
    async with _open_http_session() as session:
        yield SlackWebApi(make_web_client(settings.api_url, settings.bot_token, session))


@contextlib.asynccontextmanager
async def _open_http_session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, connect=5.0)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS)
    ) as session:
        yield session


def make_web_client(api_url: str | None, token: str | None, session: aiohttp.ClientSession) -> AsyncWebClient:
    """Return a Web API client on a shared session, without retries of its own."""
    base_url = api_url or SLACK_API_URL
    client = AsyncWebClient(
        token=token, base_url=base_url, session=session, logger=logging.getLogger("slack_sdk"), retry_handlers=[]
    )
    if bypasses_proxy(base_url):
        client.proxy = None
    return client


def bypasses_proxy(url: str) -> bool:
    """Tell whether an address is reached without the proxy that the environment names."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or proxy_bypass(host):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _post_to_response_url(client: AsyncWebClient, url: str, payload: Mapping[str, Any]) -> bool:
    if client.session is None:
        return False
    try:
        async with client.session.post(url, json=dict(payload), proxy=client.proxy) as answer:
            return answer.ok
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        _log.info("response_url not reached", error=type(error).__name__)
        return False
