"""Builds the parts of the Slack side: turns, commands, buttons and listeners."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

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
from bot.slack.events import BotUser
from bot.slack.file_intake import FileIntake
from bot.slack.installation import TokenMonitor
from bot.slack.listeners import ActionHandler, SlackListeners
from bot.slack.posting.buttons import ADD_PAGE, SEARCH_WEB, SHOW_PASSAGE
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.tasks import BackgroundTasks
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.transport.web_client import post_to_response_url
from bot.slack.turns.crash_recovery import AnswerRecovery
from bot.slack.turns.question_builder import QuestionBuilder
from bot.slack.turns.reply_factory import ReplyFactory
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.thread_reader import ThreadReader
from bot.slack.turns.turn_runner import QuestionAnswerer, TurnRunner
from bot.slack.turns.turns import TurnManager
from bot.storage.channel_event_log import ChannelEventLog
from bot.storage.ledger import Ledger
from bot.storage.preferences import ThinkingPreferences
from engine.interfaces import EngineStatus, ThinkingControl


@dataclass(frozen=True, slots=True)
class SlackDependencies:
    """The parts of the bot that the Slack side uses."""

    ledger: Ledger
    answerer: QuestionAnswerer
    library: KnowledgeLibrary
    engine_status: Callable[[], EngineStatus]
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
    """The use of the live web in each channel."""
    control: Callable[[], ThinkingControl | None] = lambda: None
    """Returns the engine's control over thinking; None before the engine exists."""


class SlackParts:
    """Builds the turns and the listeners of an app from shared parts."""

    def __init__(
        self,
        dependencies: SlackDependencies,
        client: AsyncWebClient,
        api: SlackWebApi,
        me: BotUser,
        preferences: ThinkingPreferences,
        capabilities: SlackCapabilities,
    ) -> None:
        self._dependencies = dependencies
        self._client = client
        self._api = api
        self._me = me
        self._preferences = preferences
        self._capabilities = replace(
            capabilities,
            can_show_passages=dependencies.passage is not None,
            can_add_pages=dependencies.pages is not None and bool(dependencies.access.owners),
        )
        self._threads = ThreadReader(api, me)
        self._messenger = EphemeralMessenger(api, functools.partial(post_to_response_url, client))
        self._pending = PendingDeletions(dependencies.library, self._messenger)
        self._refresh = RefreshRunner(dependencies.library, self._pending, api, self._messenger, dependencies.access)

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
            ReplyFactory(needs.ledger, self._api, self._me, self._capabilities),
            AnswerRecovery(needs.ledger, self._threads, self._api),
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
            access=needs.access,
            channels=needs.channels,
        )
        think = ThinkCommand(self._preferences, needs.control, self._me.team, self._messenger)
        return SlackListeners(
            self._me,
            turns,
            {KB: kb.run, THINK: think.run},
            self._build_actions(turns, answer_in_shared=answer_in_shared),
            kb.describe_status,
            self._api,
            self._messenger,
            tasks,
            on_removed,
            answer_in_shared=answer_in_shared,
            event_log=needs.event_log,
        )

    def _build_actions(self, turns: TurnManager, *, answer_in_shared: bool) -> Mapping[str, ActionHandler]:
        """Return the handler of each button, by its action id."""
        needs, messenger = self._dependencies, self._messenger
        access = ChannelAccess(self._api, messenger, self._me, answer_in_shared=answer_in_shared)
        approve = ApproveDeletionAction(self._pending, self._refresh, needs.access, messenger)
        search = SearchWebAction(self._threads, turns.submit, self._me.team, access, messenger)
        actions: dict[str, ActionHandler] = {APPROVE_DELETION: approve.run, SEARCH_WEB: search.run}
        if needs.passage is not None:
            actions[SHOW_PASSAGE] = ShowPassageAction(needs.passage, access, messenger).run
        if needs.pages is not None:
            actions[ADD_PAGE] = AddPageAction(needs.pages, needs.access, messenger).run
        return actions
