"""Builds what Slack needs for verified answers: the answerer that shows them, their buttons, modal and command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.answering.verification.embedding_cache import Embed
from bot.answering.verified_answers.finder import OFFER_THRESHOLDS, SameJudge, VerifiedAnswerFinder
from bot.answering.verified_answers.verified_answerer import Answering, VerifiedAnswerer
from bot.config.configuration import Access
from bot.slack.actions.channel_access import ChannelAccess
from bot.slack.actions.verified_answers import AnswerFromDocumentsAction, ShowVerifiedAction, VerifyAnswerAction
from bot.slack.commands.library import KnowledgeLibrary
from bot.slack.commands.verified import VerifiedCommand
from bot.slack.modals.verify import VerifyModal, WritePhrasings
from bot.slack.posting.buttons import AnswerButton
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.private_questions import Submit
from bot.slack.threads.thread_reader import ThreadReader
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.verified.management import VerifiedManagement
from bot.storage.answers import Answers
from bot.storage.shared_changes import SharedChanges
from bot.storage.verified_answers import VerifiedAnswers
from knowledge.interfaces import Viewers


@dataclass(frozen=True, slots=True)
class VerifiedTools:
    """What compares questions and writes phrasings; without it, only the same words get a verified answer."""

    embed: Embed | None = None
    embedder: str = ""
    """``Embedder.identity``."""
    judge: SameJudge | None = None
    write_phrasings: WritePhrasings | None = None


@dataclass(slots=True)
class VerifiedParts:
    """The parts of verified answers in one workspace."""

    tools: VerifiedTools
    library: KnowledgeLibrary
    access: Access
    answers: Answers
    shared_changes: SharedChanges
    api: SlackWebApi
    messenger: EphemeralMessenger
    threads: ThreadReader
    find_person: Callable[[str], Awaitable[Viewers]]
    team: str
    modal: VerifyModal = field(init=False)
    command: VerifiedCommand = field(init=False)
    _stored: VerifiedAnswers = field(init=False)
    _finder: VerifiedAnswerFinder = field(init=False)
    management: VerifiedManagement = field(init=False)

    def __post_init__(self) -> None:
        """Build the parts."""
        self._stored = VerifiedAnswers(self.answers.database, self.team, self.shared_changes)
        self._finder = VerifiedAnswerFinder(
            self._stored,
            self.library,
            embed=self.tools.embed,
            thresholds=OFFER_THRESHOLDS.get(self.tools.embedder),
            judge=self.tools.judge,
        )
        self.management = VerifiedManagement(self._stored, self._finder, self.access, self.find_person, self.threads)
        self.modal = VerifyModal(
            self.api, self.answers, self.management, self.messenger, write_phrasings=self.tools.write_phrasings
        )
        self.command = VerifiedCommand(self.management, self.modal, self.messenger)

    def add_to(self, answerer: Answering) -> VerifiedAnswerer:
        """Return an answerer that shows verified answers before those of another one."""
        return VerifiedAnswerer(answerer, self._finder)

    def list_buttons(self, submit: Submit, access: ChannelAccess) -> list[AnswerButton]:
        """Return the kinds of buttons under an answer."""
        return [
            ShowVerifiedAction(self._stored, self._finder, access, self.messenger),
            AnswerFromDocumentsAction(self.threads, submit, self.team, access, self.messenger),
            VerifyAnswerAction(self.answers, self.team, self.modal, self.management, self.messenger),
        ]
