"""Builds what turns and features share: what reads Slack, its caches, rules of channels, and stores."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from slack_sdk.web.async_client import AsyncWebClient

from bot.audit.entries import AuditEntry, Event, name_person
from bot.messages import replies
from bot.slack.conversations.attention import ThreadAttention
from bot.slack.conversations.channel_changes import ChannelChanges
from bot.slack.conversations.channel_rules import ChannelRules
from bot.slack.conversations.stored_questions import StoredQuestions
from bot.slack.conversations.thread_loader import ThreadLoader
from bot.slack.conversations.visible_sources import VisibleSources
from bot.slack.materials.file_intake import FileIntake
from bot.slack.materials.file_loader import FileLoader
from bot.slack.materials.question_materials import QuestionMaterials
from bot.slack.materials.quoted_messages import QuotedMessages
from bot.slack.materials.thread_files import ThreadFiles
from bot.slack.people.accounts import Company
from bot.slack.people.directory import SlackDirectory
from bot.slack.people.finder import ViewerFinder
from bot.slack.people.reader_languages import ReaderLanguages
from bot.slack.people.roles import RoleFinder
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.turns.approved_words import ApprovedWords
from bot.slack.turns.dependencies import SlackDependencies
from bot.slack.turns.reasoning_memory import ReasoningMemory
from bot.slack.wire.events import BotUser
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from bot.slack.wire.tasks import BackgroundTasks
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.slack.wire.transport.web_client import post_to_response_url
from bot.storage.answers import Answers
from bot.storage.channels.channel_settings import ApprovedChannels, ChannelSettingsStore
from bot.storage.feedback import Feedback
from bot.storage.preferences import PersonalPreferences
from bot.storage.turns.answer_shares import AnswerShares
from bot.storage.turns.threads import ThreadRecords
from knowledge.interfaces import Viewers


class SharedParts:
    """The parts of one workspace that its turns and features use."""

    def __init__(
        self,
        dependencies: SlackDependencies,
        client: AsyncWebClient,
        api: SlackWebApi,
        me: BotUser,
        capabilities: SlackCapabilities,
        tasks: BackgroundTasks,
        *,
        is_home: bool = True,
    ) -> None:
        """``is_home`` says whether the workspace is the first one, whose members are everybody."""
        self.dependencies = dependencies
        self.client = client
        self.api = api
        self.me = me
        self.changes = changes = dependencies.changes
        self.capabilities = capabilities
        self.tasks = tasks
        self.database = dependencies.ledger.database
        self.access = dependencies.configuration.access
        self.is_home = is_home
        company = Company(me.team, me.enterprise, me.workspaces, is_home)
        self.directory = SlackDirectory(api, company)
        self.approved_channels = ApprovedChannels(self.database)
        self.viewers = ViewerFinder(
            self.directory, company, dependencies.identities, self.approved_channels, dependencies.list_named
        )
        self.visible_sources = VisibleSources(dependencies.library, self.access, self.find_person)
        self.roles = RoleFinder(self.access, self.directory)
        self.preferences = PersonalPreferences(self.database, changes)
        self.languages = ReaderLanguages(self.preferences, self.directory, me.team)
        self.threads = ThreadLoader(api, me, self.directory.names)
        self.messenger = EphemeralMessenger(api, functools.partial(post_to_response_url, client))
        self.answers = Answers(self.database)
        self.shares = AnswerShares(self.database)
        self.feedback = Feedback(self.database)
        self.questions = StoredQuestions(self.directory, api)
        self.channel_settings = ChannelSettingsStore(self.database, me.team, changes)
        fixed = dependencies.configuration
        self.rules = ChannelRules(
            fixed.channels,
            fixed.web,
            fixed.thinking,
            self.channel_settings,
            dependencies.library,
            dependencies.guidance,
        )
        self.channel_changes = ChannelChanges(
            api,
            self.channel_settings,
            self.rules,
            self.directory,
            self.roles,
            self.messenger,
            record=self.record_event,
        )
        self.attention = ThreadAttention(
            ThreadRecords(self.database),
            fixed.follow_up_days,
            self.threads,
            self.messenger,
            me,
            find_language=self.languages.find_language,
            channel_rules=self.rules,
        )
        self.reasonings = ReasoningMemory()
        self.approved_words = ApprovedWords()
        self.materials = self._build_materials()
        adding = dependencies.adding
        self.reads_pictures = dependencies.materials is not None and dependencies.materials.reads_pictures
        """Whether anything of a picture is read."""
        self.intake = None
        if adding is not None:
            self.intake = FileIntake(client, adding, self.access, self.threads, reads_pictures=self.reads_pictures)

    async def record_event(
        self, event: Event, user: str, facts: Mapping[str, object], sealed: Mapping[str, object] | None = None, /
    ) -> None:
        """Record in the audit what a person of this workspace did; ``sealed`` goes when the person is erased."""
        entry = AuditEntry(event, name_person(self.me.team, user), {"team": self.me.team, **facts}, sealed or {})
        await self.dependencies.audit_log.record(entry)

    async def find_person(self, user: str) -> Viewers:
        """Return a person as the only viewer, by the Slack id."""
        return (await self.viewers.find_person_audience(user)).viewers

    async def check_press(self, press: ButtonPress) -> Viewers:
        """Return the person who pressed a button as the only viewer, by the rules for messages.

        Raises:
            InteractionRefused: there must be no answer for the person here.
            DatabaseError: the approval of a shared channel cannot be read.

        """
        audience = await self.viewers.find_press_audience(press.channel, press.user)
        if audience.refusal is not None:
            raise InteractionRefused(audience.refusal)
        if not audience.is_complete:
            raise InteractionRefused(replies.AUDIENCE_UNKNOWN)
        return audience.viewers

    def _build_materials(self) -> QuestionMaterials | None:
        """Return what reads files and quoted messages; None where none is read."""
        maker = self.dependencies.materials
        if maker is None:
            return None
        files = ThreadFiles(self.api, self.threads, FileLoader(self.client, maker))
        return QuestionMaterials(files, QuotedMessages(self.api, self.threads, self.directory, maker, self.me))
