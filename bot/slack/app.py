"""The Slack side: opened, connected over Socket Mode or signed HTTP, and closed as one."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

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
from bot.slack.actions.approve_deletion import ApproveDeletionAction
from bot.slack.actions.channel_access import ChannelAccess
from bot.slack.actions.search_web import SearchWebAction
from bot.slack.actions.show_passage import FindPassage, ShowPassageAction
from bot.slack.commands.kb import KbCommand
from bot.slack.commands.library import KnowledgeLibrary
from bot.slack.commands.parsing import KB, THINK
from bot.slack.commands.pending_deletions import APPROVE_DELETION, PendingDeletions
from bot.slack.commands.refresh import RefreshRunner
from bot.slack.commands.think import ThinkCommand
from bot.slack.errors import SlackUnavailable
from bot.slack.file_intake import FileIntake
from bot.slack.installation import Installation, TokenMonitor, check_token
from bot.slack.listeners import ActionHandler, SlackListeners
from bot.slack.posting.buttons import ADD_PAGE, SEARCH_WEB, SHOW_PASSAGE
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.settings import SlackSettings
from bot.slack.tasks import BackgroundTasks
from bot.slack.transport.http_server import HttpServer
from bot.slack.transport.socket_mode import SocketModeClient
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.transport.web_client import copy_without_token, make_web_client, open_http_session, post_to_response_url
from bot.slack.turns.crash_recovery import AnswerRecovery
from bot.slack.turns.question_builder import QuestionBuilder
from bot.slack.turns.reply_factory import ReplyFactory
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.thread_reader import ThreadReader
from bot.slack.turns.turn_runner import QuestionAnswerer, TurnRunner
from bot.slack.turns.turns import TurnManager
from bot.storage.channel_event_log import ChannelEventLog, record_connection
from bot.storage.ledger import Ledger
from bot.storage.preferences import ThinkingPreferences
from engine.interfaces import EngineStatus, ThinkingControl

_log = structlog.get_logger(__name__)

_DRAIN_S = 2.0
"""How long background tasks may continue when the app closes."""


@dataclass(frozen=True, slots=True)
class SlackDependencies:
    """What the Slack side uses of the rest of the bot."""

    ledger: Ledger
    answerer: QuestionAnswerer
    library: KnowledgeLibrary
    engine_status: Callable[[], EngineStatus]
    apology: Callable[[BaseException], str]
    event_log: ChannelEventLog | None = None
    """Stores events of public channels if they are a source."""
    adding: DocumentAdditions | None = None
    """Adds the files that owners send."""
    pages: PageAdditions | None = None
    """Adds web pages for owners."""
    passage: FindPassage | None = None
    """Finds whole passages by their chunks."""
    access: Access = field(default_factory=Access)
    """Who may manage the knowledge."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """Filters of every search of a channel, by the channel's id."""
    thinking: Defaults = field(default_factory=Defaults)
    """How long Kvasir thinks for people without a preference."""
    web: Policies = field(default_factory=Policies)
    """What may be asked of the live web in each channel."""
    control: Callable[[], ThinkingControl | None] = lambda: None
    """Returns how the engine can control thinking; None before the engine exists."""


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
        self.installation = installation
        self._turns = turns
        self._runner = runner
        self._api = api
        self._token_monitor = token_monitor
        self._on_connected = on_connected

    @property
    def address(self) -> str:
        """Return where a person finds the bot: the HTTP address, or the workspace's name."""
        return self._runner.address or self.installation.workspace_name

    async def connect(self) -> None:
        """Connect, and continue the turns that an earlier process left open; return once events arrive.

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
                continue  # Slack gives no answer; the next refusal starts another check


@contextlib.asynccontextmanager
async def open_slack_app(
    settings: SlackSettings,
    dependencies: SlackDependencies,
    *,
    turn_settings: TurnSettings | None = None,
    capabilities: SlackCapabilities | None = None,
    answer_in_shared: bool = False,
) -> AsyncIterator[SlackApp]:
    """Open the Slack side; ``run`` connects it. On exit, running answers get a while to end; then everything closes.

    Raises:
        SlackError: the token, its scopes or the address is wrong; the text names the next step.
        DatabaseError: the ledger cannot be opened.

    """
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_http_session())
        client = make_web_client(settings.api_url, settings.bot_token, session)
        api = SlackWebApi(client)
        installation = await check_token(api)
        preferences = ThinkingPreferences(dependencies.ledger.database, dependencies.thinking)
        capabilities = capabilities or SlackCapabilities()
        parts = _Parts(dependencies, client, api, installation, preferences, capabilities)
        token_monitor, tasks = TokenMonitor(), BackgroundTasks()
        turns = parts.build_turns(turn_settings or TurnSettings(), token_monitor)
        listeners = parts.build_listeners(
            turns, tasks, on_removed=token_monitor.suspect, answer_in_shared=answer_in_shared
        )
        bolt = build_bolt_app(settings, client, installation, listeners)
        runner = _make_runner(settings, bolt, client, token_monitor)

        def on_connected() -> None:
            if dependencies.event_log is not None:
                recording = record_connection(dependencies.event_log, installation.me.team, lambda: runner.is_connected)
                tasks.start(recording, "connection record")

        app = SlackApp(installation, turns, runner, api, token_monitor, on_connected)
        stack.push_async_callback(tasks.close, _DRAIN_S)
        stack.push_async_callback(turns.close)
        stack.push_async_callback(runner.close)
        yield app


class _Parts:
    """Builds the parts of an app from what they share."""

    def __init__(
        self,
        dependencies: SlackDependencies,
        client: AsyncWebClient,
        api: SlackWebApi,
        installation: Installation,
        preferences: ThinkingPreferences,
        capabilities: SlackCapabilities,
    ) -> None:
        self._dependencies = dependencies
        self._client = client
        self._api = api
        self._me = installation.me
        self._preferences = preferences
        self._capabilities = capabilities
        self._threads = ThreadReader(api, installation.me)
        self._messenger = EphemeralMessenger(api, functools.partial(post_to_response_url, client))
        self._pending = PendingDeletions(dependencies.library, self._messenger)
        self._refresh = RefreshRunner(
            dependencies.library, self._pending, api, self._messenger, dependencies.access, dependencies.apology
        )
        capabilities.can_show_passages = dependencies.passage is not None
        capabilities.can_add_pages = dependencies.pages is not None and bool(dependencies.access.owners)

    def build_turns(self, settings: TurnSettings, token_monitor: TokenMonitor) -> TurnManager:
        """Return the turns of questions."""
        needs = self._dependencies
        intake = (
            None
            if needs.adding is None
            else FileIntake(self._api, self._client, needs.adding, needs.access, self._threads)
        )
        runner = TurnRunner(
            needs.ledger,
            needs.answerer,
            QuestionBuilder(self._threads, needs.channels, needs.web, self._preferences.choose_depth),
            ReplyFactory(needs.ledger, self._api, self._me, self._capabilities, needs.apology),
            AnswerRecovery(needs.ledger, self._threads, self._api),
            apology=needs.apology,
            settings=settings,
            file_intake=intake,
        )
        return TurnManager(needs.ledger, runner, settings, on_unauthorized=token_monitor.suspect)

    def build_listeners(
        self, turns: TurnManager, tasks: BackgroundTasks, *, on_removed: Callable[[], None], answer_in_shared: bool
    ) -> SlackListeners:
        """Return the listeners for everything that Slack sends."""
        needs = self._dependencies
        kb = KbCommand(
            needs.library,
            needs.engine_status,
            self._pending,
            self._refresh,
            self._messenger,
            apology=needs.apology,
            access=needs.access,
            channels=needs.channels,
        )
        think = ThinkCommand(self._preferences, needs.control, self._me.team, self._messenger, apology=needs.apology)
        return SlackListeners(
            self._me,
            turns,
            {KB: kb.run, THINK: think.run},
            self._build_actions(turns, answer_in_shared=answer_in_shared),
            kb.describe_status,
            self._api,
            self._messenger,
            tasks,
            needs.apology,
            on_removed,
            answer_in_shared=answer_in_shared,
            event_log=needs.event_log,
        )

    def _build_actions(self, turns: TurnManager, *, answer_in_shared: bool) -> Mapping[str, ActionHandler]:
        """Return the handler of each button, by its action id."""
        needs, messenger, apology = self._dependencies, self._messenger, self._dependencies.apology
        access = ChannelAccess(self._api, messenger, self._me, answer_in_shared=answer_in_shared)
        approve = ApproveDeletionAction(self._pending, self._refresh, needs.access, messenger, apology)
        search = SearchWebAction(self._threads, turns.submit, self._me.team, access, messenger, apology)
        actions: dict[str, ActionHandler] = {APPROVE_DELETION: approve.run, SEARCH_WEB: search.run}
        if needs.passage is not None:
            actions[SHOW_PASSAGE] = ShowPassageAction(needs.passage, access, messenger, apology).run
        if needs.pages is not None:
            actions[ADD_PAGE] = AddPageAction(needs.pages, needs.access, messenger).run
        return actions


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
        name="kvasir",
        logger=logging.getLogger("slack_bolt"),
        client=copy_without_token(client),
        authorize=authorize,
        signing_secret=settings.signing_secret or "",
        request_verification_enabled=True,
        ssl_check_enabled=False,  # this check would answer 200 before the signature is verified
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
