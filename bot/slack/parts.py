"""Builds the parts of the Slack side: turns, commands, buttons and listeners."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.actions.add_page import AddPageAction
from bot.slack.actions.answer_privately import ANSWER_PRIVATELY, AnswerPrivatelyAction
from bot.slack.actions.approve_deletion import ApproveDeletionAction
from bot.slack.actions.change_answer import AnswerAgainAction, ChangeAnswer, DeleteAnswerAction
from bot.slack.actions.channel_access import ChannelAccess
from bot.slack.actions.file_readers import FileReadersAction
from bot.slack.actions.more_for_asker import MoreForAsker
from bot.slack.actions.mute_thread import MuteThreadAction
from bot.slack.actions.rate_answer import RateAnswerAction
from bot.slack.actions.refresh_source import REFRESH_SOURCE, RefreshSourceAction
from bot.slack.actions.search_web import SearchWebAction
from bot.slack.actions.show_passage import ShowPassageAction
from bot.slack.actions.show_reasoning import ShowReasoningAction
from bot.slack.actions.stop_unasked import StopUnaskedAction
from bot.slack.audience.accounts import Company
from bot.slack.audience.app_refusals import AppRefusals
from bot.slack.audience.directory import SlackDirectory
from bot.slack.audience.finder import ViewerFinder
from bot.slack.channels.channel_changes import ChannelChanges, SettingsAccess
from bot.slack.channels.channel_rules import ChannelRules
from bot.slack.commands.ask import ASK, AskCommand
from bot.slack.commands.feedback import FeedbackRunner
from bot.slack.commands.kb import KbCommand, KbRunners
from bot.slack.commands.parsing import KB, THINK
from bot.slack.commands.pending_deletions import APPROVE_DELETION, PendingDeletions
from bot.slack.commands.search import SearchRunner
from bot.slack.commands.share import ShareRunner
from bot.slack.commands.think import ThinkCommand
from bot.slack.commands.visible_sources import VisibleSources
from bot.slack.dependencies import SlackDependencies
from bot.slack.home.heartbeat import ReplicaHeartbeat
from bot.slack.home.knowledge import KnowledgePart
from bot.slack.home.operations import OperationsPart
from bot.slack.home.part import HomePart
from bot.slack.home.personal import RecentQuestionsPart, SettingsPart
from bot.slack.home.tab import HomeTab
from bot.slack.incoming.attention import ThreadAttention
from bot.slack.incoming.events import AppRemoved, BotUser
from bot.slack.incoming.listeners import ActionHandler, SlackListeners
from bot.slack.installation import TokenMonitor
from bot.slack.layout.answer_layout import AnswerLayout
from bot.slack.layout.document_publisher import DocumentPublisher
from bot.slack.materials.file_intake import FileIntake
from bot.slack.materials.file_reader import FileReader
from bot.slack.materials.question_materials import QuestionMaterials
from bot.slack.materials.quoted_messages import QuotedMessages
from bot.slack.materials.thread_files import ThreadFiles
from bot.slack.modals.ask import AskModal
from bot.slack.modals.ask_about import AskAboutModal
from bot.slack.modals.channel_settings import CHANNEL_SETTINGS, ChannelSettingsModal
from bot.slack.modals.feedback import FeedbackModal
from bot.slack.modals.modal import Modal
from bot.slack.modals.settings import OPEN_SETTINGS, SettingsModal
from bot.slack.owners.owner_messages import OwnerMessages
from bot.slack.owners.parts import OwnerParts
from bot.slack.people.reader_languages import ReaderLanguages
from bot.slack.people.roles import RoleFinder
from bot.slack.posting.buttons import AnswerButton
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.private_questions import PrivateQuestions, Submit
from bot.slack.reasoning_memory import ReasoningMemory
from bot.slack.recovery.crash_recovery import AnswerRecovery
from bot.slack.recovery.withdrawals import Withdrawals
from bot.slack.refreshes.refresh import RefreshRunner
from bot.slack.refreshes.refresh_keeper import RefreshKeeper
from bot.slack.stored_questions import StoredQuestions
from bot.slack.tasks import BackgroundTasks
from bot.slack.threads.thread_reader import ThreadReader
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.transport.web_client import post_to_response_url, upload_bytes
from bot.slack.turns.answer_follow_up import AnswerFollowUp, Offer
from bot.slack.turns.message_files import MessageFiles
from bot.slack.turns.question_builder import QuestionBuilder
from bot.slack.turns.question_limiter import QuestionLimiter
from bot.slack.turns.reply_factory import ReplyFactory
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.turn_runner import TurnRunner
from bot.slack.turns.turns import TurnManager
from bot.slack.turns.unasked_answers import UnaskedAnswers
from bot.slack.turns.undelivered_answer import UndeliveredAnswers
from bot.slack.turns.waiting_turns import TurnTimes, WaitingTurns
from bot.slack.verified.parts import VerifiedParts
from bot.storage.answer_documents import AnswerDocuments
from bot.storage.answers import Answers
from bot.storage.channels.approved_channels import ApprovedChannels
from bot.storage.channels.channel_moves import ChannelMoves
from bot.storage.channels.channel_settings import ChannelSettingsStore
from bot.storage.feedback import Feedback
from bot.storage.installation_data import InstallationData
from bot.storage.personal_data import PersonalData
from bot.storage.preferences import PersonalPreferences
from bot.storage.refresh_records import RefreshRecords
from bot.storage.replicas import Replicas
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.question_counts import QuestionCounts
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from bot.storage.turns.threads import ThreadRecords
from knowledge.interfaces import Viewers


class SlackParts:
    """Builds the turns and the listeners of an app from shared parts."""

    def __init__(
        self,
        dependencies: SlackDependencies,
        client: AsyncWebClient,
        api: SlackWebApi,
        me: BotUser,
        shared_changes: SharedChanges,
        capabilities: SlackCapabilities,
    ) -> None:
        self._dependencies = dependencies
        self._client = client
        self._api = api
        self._me = me
        database = dependencies.ledger.database
        self._changes = shared_changes
        self._preferences = PersonalPreferences(database, shared_changes)
        self._capabilities = capabilities
        company = Company(me.team, me.enterprise, me.workspaces)
        self.directory = SlackDirectory(api, company)
        """The people and channels of Slack, cached."""
        self._languages = ReaderLanguages(self._preferences, self.directory, me.team)
        self._approved_channels = ApprovedChannels(database)
        self._answers = Answers(database)
        upload = functools.partial(upload_bytes, client)
        self._documents = DocumentPublisher(api, upload, AnswerDocuments(database))
        self._reasonings = ReasoningMemory()
        self._viewers = ViewerFinder(
            self.directory, company, dependencies.identities, self._approved_channels, dependencies.list_named
        )
        self._questions = StoredQuestions(self.directory, api)
        self._replicas = Replicas(database, me.team, version("kvasir"))
        self.heartbeat = ReplicaHeartbeat(self._replicas)
        """Lets administrators see this process."""
        self._threads = ThreadReader(api, me)
        adding = dependencies.adding
        maker, self._materials = dependencies.materials, None
        if maker is not None:
            quoted = QuotedMessages(api, self._threads, self.directory, maker, me)
            self._materials = QuestionMaterials(ThreadFiles(api, self._threads, FileReader(client, maker)), quoted)
        self._intake = None if adding is None else FileIntake(client, adding, dependencies.access, self._threads)
        self._messenger = EphemeralMessenger(api, functools.partial(post_to_response_url, client))
        self._feedback = Feedback(database)
        self._feedback_modal = FeedbackModal(api, self._feedback, me.team, self._messenger)
        records = ThreadRecords(dependencies.ledger.database)
        self._channel_settings = ChannelSettingsStore(database, me.team, shared_changes)
        self._installation = InstallationData(database, me.team)
        self._rules = ChannelRules(
            dependencies.channels, dependencies.web, dependencies.thinking, self._channel_settings, dependencies.library
        )
        self._attention = ThreadAttention(
            records,
            dependencies.follow_ups,
            self._threads,
            self._messenger,
            me,
            find_language=self._languages.find,
            channel_rules=self._rules,
        )
        self._pending = PendingDeletions(dependencies.library, self._messenger)
        self._visible = VisibleSources(dependencies.library, dependencies.access, self._find_person)
        self._settings_changes = ChannelChanges(
            api, self._channel_settings, self._rules, self.directory, self._messenger
        )
        self._roles = RoleFinder(dependencies.access, self.directory)
        settings_access = SettingsAccess(self.directory, self._roles)
        self._settings_modal = ChannelSettingsModal(
            api, self._rules, self._settings_changes, settings_access, self._visible, self._messenger
        )
        self.refreshes = RefreshKeeper(RefreshRecords(dependencies.ledger.database, me.team), api)
        """Ends the messages of interrupted refreshes."""
        self._refresh = RefreshRunner(
            dependencies.library, self._pending, api, self._messenger, self._visible, self.refreshes.track
        )
        self._verified = VerifiedParts(
            dependencies.verified,
            dependencies.library,
            dependencies.access,
            self._answers,
            shared_changes,
            api,
            self._messenger,
            self._threads,
            self._find_person,
            me.team,
        )
        self.owners = OwnerParts(
            dependencies.library,
            dependencies.access,
            self._answers,
            self._feedback,
            self._questions,
            self._verified.management,
            OwnerMessages(api, self.directory),
            me.team,
        )
        """Inform the owners."""

    async def _find_person(self, user: str) -> Viewers:
        return (await self._viewers.find_person_audience(user)).viewers

    def build(
        self, settings: TurnSettings, token_monitor: TokenMonitor, tasks: BackgroundTasks
    ) -> tuple[TurnManager, SlackListeners]:
        """Return the turns of questions, and the listeners for everything that Slack sends."""

        async def submit(message: QuestionMessage) -> bool:
            # A button asks again once its question was edited.
            return await turns.submit(message) or await turns.handle_edit(message, f"{time.time():.6f}")

        async def regenerate(key: QuestionKey) -> bool:
            return await turns.regenerate(key)

        async def delete(key: QuestionKey) -> bool:
            return await turns.handle_deletion(key)

        access = ChannelAccess(self._viewers, self._messenger)
        buttons = [*self._list_answer_buttons(submit, access), *self._list_feedback_buttons(regenerate, delete)]
        library, find_language = self._dependencies.library, self._languages.find
        more = MoreForAsker(library, self._viewers, self._messenger, find_language, tasks)
        counts = QuestionCounts(self._dependencies.ledger.database)
        limiter = QuestionLimiter(counts, self._dependencies.question_limits, self._messenger, tasks)
        runner = self._build_runner(settings, buttons, more.offer_later)
        turns = TurnManager(
            self._dependencies.ledger,
            runner,
            Withdrawals(self._dependencies.ledger, self._api, self._documents),
            settings,
            self._changes,
            WaitingTurns(
                self._api, self._capabilities, TurnTimes(settings.concurrent), every_s=settings.show_places_every_s
            ),
            admit=limiter.admit,
            on_unauthorized=token_monitor.suspect,
        )
        questions = PrivateQuestions(self._api, submit, self._me.team)
        privately = AnswerPrivatelyAction(self._threads, questions, self._me.team, self._messenger)
        actions = {ANSWER_PRIVATELY: privately.run} | {button.action_id: button.run for button in buttons}

        def handle_removal(removed: AppRemoved) -> None:
            if removed.is_uninstalled:
                tasks.start(self._installation.erase(), "end of the installation")
            token_monitor.suspect()

        listeners = self._build_listeners(turns, actions, questions, tasks, on_removed=handle_removal)
        return turns, listeners

    def _list_answer_buttons(self, submit: Submit, access: ChannelAccess) -> list[AnswerButton]:
        """Return every kind of button under an answer, in their order."""
        needs, messenger = self._dependencies, self._messenger
        return [
            *([] if needs.passage is None else [ShowPassageAction(needs.passage, access, messenger)]),
            *([] if needs.pages is None else [AddPageAction(needs.pages, needs.access, messenger)]),
            *(
                []
                if needs.adding is None or self._intake is None
                else [FileReadersAction(needs.adding, self._intake, needs.access, self.directory, messenger)]
            ),
            SearchWebAction(self._threads, submit, self._me.team, access, messenger),
            ShowReasoningAction(
                self._reasonings, needs.library.filter_current, access, messenger, self._api, self._me.team
            ),
            *self._verified.list_buttons(submit, access),
            MuteThreadAction(self._attention, messenger),
            StopUnaskedAction(self._rules, self._settings_changes, access, messenger),
        ]

    def _list_feedback_buttons(self, regenerate: ChangeAnswer, delete: ChangeAnswer) -> list[AnswerButton]:
        """Return the buttons that rate an answer, replace it and delete it."""
        needs, messenger, team = self._dependencies, self._messenger, self._me.team
        return [
            AnswerAgainAction(needs.ledger, regenerate, team, messenger),
            RateAnswerAction(self._feedback, self._feedback_modal, self._viewers, team, messenger, needs.record_vote),
            DeleteAnswerAction(needs.ledger, delete, needs.access, team, messenger),
        ]

    def _build_runner(self, settings: TurnSettings, buttons: Sequence[AnswerButton], offer_more: Offer) -> TurnRunner:
        needs = self._dependencies
        unasked = UnaskedAnswers(self._rules, self._channel_settings, needs.library, needs.forget)
        undelivered = UndeliveredAnswers(self._messenger, self._threads)
        return TurnRunner(
            needs.ledger,
            self._verified.add_to(needs.answerer),
            QuestionBuilder(
                self._threads,
                self._viewers,
                self._rules,
                self._preferences.choose_depth,
                needs.find_salt,
                filter_readable=needs.library.filter_current,
                find_length=self._preferences.find_length,
                materials=self._materials,
            ),
            ReplyFactory(
                needs.ledger,
                self._api,
                self._me,
                self._capabilities,
                buttons,
                undelivered,
                find_workspace=self.directory.find_workspace,
                find_rule=self._rules.resolve,
            ),
            AnswerRecovery(needs.ledger, self._threads, self._api),
            MessageFiles(self._threads, self._messenger, self._intake),
            settings=settings,
            follow_up=AnswerFollowUp(
                self._answers,
                self._reasonings,
                needs.engine_status,
                offer_more,
                needs.forget,
                AnswerLayout(self._api, self._capabilities.limits, self._documents),
                unasked=unasked,
            ),
        )

    def _build_listeners(
        self,
        turns: TurnManager,
        actions: Mapping[str, ActionHandler],
        questions: PrivateQuestions,
        tasks: BackgroundTasks,
        *,
        on_removed: Callable[[AppRemoved], None],
    ) -> SlackListeners:
        needs = self._dependencies
        kb = KbCommand(
            self._visible,
            needs.engine_status,
            self._pending,
            self._refresh,
            runners=KbRunners(
                SearchRunner(needs.library, self._viewers, self._rules).run,
                ShareRunner(self.directory, self._approved_channels, self._me.team).run,
                FeedbackRunner(self._feedback, self._questions, needs.access, self._me.team).run,
                self._verified.command.show,
                self._settings_modal.open,
            ),
            messenger=self._messenger,
            access=needs.access,
        )
        approve = ApproveDeletionAction(self._pending, self._refresh, needs.access, self._messenger)
        refresh = RefreshSourceAction(self._refresh, needs.access, self._messenger)
        asking: list[AskModal | AskAboutModal] = [AskModal(self._api, questions)]
        if self._materials is not None:
            asking.append(AskAboutModal(self._api, questions, self._materials.quoted))
        home = self._build_home()
        chosen = SettingsModal(
            self._api,
            self._preferences,
            PersonalData(needs.ledger.database),
            needs.control,
            self._me.team,
            publish_home=home.publish,
        )
        modals: list[Modal] = [*asking, self._feedback_modal, self._verified.modal, self._settings_modal, chosen]
        think = ThinkCommand(self._preferences, self._rules, needs.control, self._me.team, self._messenger)
        return SlackListeners(
            self._me,
            turns,
            self._attention,
            {ASK: AskCommand(questions, self._messenger).run, KB: kb.run, THINK: think.run},
            {
                APPROVE_DELETION: home.publish_after(approve.run),
                REFRESH_SOURCE: home.publish_after(refresh.run),
                OPEN_SETTINGS: chosen.open,
                CHANNEL_SETTINGS: self._settings_modal.open,
                **self._verified.command.actions,
                **actions,
            },
            {modal.shortcut: modal.open for modal in asking},
            {modal.callback_id: modal for modal in modals},
            home,
            self.directory,
            self._languages,
            self._viewers,
            AppRefusals(self._api),
            self._messenger,
            tasks,
            on_removed,
            ChannelMoves(needs.ledger.database, self._me.team),
            event_log=needs.event_log,
        )

    def _build_home(self) -> HomeTab:
        needs, team = self._dependencies, self._me.team
        parts: list[HomePart] = [
            RecentQuestionsPart(self._answers, self._questions, self._preferences, team),
            SettingsPart(self._preferences, team),
            self.owners.build_home_part(),
            KnowledgePart(self._visible, needs.access),
            OperationsPart(needs.library, self._replicas, needs.count_requests),
        ]
        return HomeTab(self._api, self._languages.find, self._roles.find, needs.engine_status, parts)
