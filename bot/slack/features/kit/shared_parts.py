"""Builds what several parts of the Slack side share: readers of Slack, their caches, and stores."""

from __future__ import annotations

import functools

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.conversations.stored_questions import StoredQuestions
from bot.slack.conversations.thread_reader import ThreadReader
from bot.slack.conversations.visible_sources import VisibleSources
from bot.slack.features.kit.dependencies import SlackDependencies
from bot.slack.people.accounts import Company
from bot.slack.people.directory import SlackDirectory
from bot.slack.people.finder import ViewerFinder
from bot.slack.people.reader_languages import ReaderLanguages
from bot.slack.people.roles import RoleFinder
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.wire.events import BotUser
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.slack.wire.transport.web_client import post_to_response_url
from bot.storage.answers import Answers
from bot.storage.channels.approved_channels import ApprovedChannels
from bot.storage.feedback import Feedback
from bot.storage.preferences import PersonalPreferences
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.answer_shares import AnswerShares
from knowledge.interfaces import Viewers


class SharedParts:
    """The parts of one workspace's app that the builders of other parts use."""

    def __init__(
        self,
        dependencies: SlackDependencies,
        client: AsyncWebClient,
        api: SlackWebApi,
        me: BotUser,
        changes: SharedChanges,
        capabilities: SlackCapabilities,
        *,
        is_home: bool = True,
    ) -> None:
        """``is_home`` says whether the workspace is the first one, whose members are everybody."""
        self.dependencies = dependencies
        self.client = client
        self.api = api
        self.me = me
        self.changes = changes
        self.capabilities = capabilities
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
        self.threads = ThreadReader(api, me)
        self.messenger = EphemeralMessenger(api, functools.partial(post_to_response_url, client))
        self.answers = Answers(self.database)
        self.shares = AnswerShares(self.database)
        self.feedback = Feedback(self.database)
        self.questions = StoredQuestions(self.directory, api)

    async def find_person(self, user: str) -> Viewers:
        """Return a person as the only viewer, by the Slack id."""
        return (await self.viewers.find_person_audience(user)).viewers
