"""Builds what leads a question to its answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from bot.slack.features.kit.shared_parts import SharedParts
from bot.slack.features.settings.parts import ChannelParts
from bot.slack.features.verified.parts import VerifiedParts
from bot.slack.materials.file_intake import FileIntake
from bot.slack.materials.file_reader import FileReader
from bot.slack.materials.question_materials import QuestionMaterials
from bot.slack.materials.quoted_messages import QuotedMessages
from bot.slack.materials.thread_files import ThreadFiles
from bot.slack.posting.answer_layout import AnswerLayout
from bot.slack.posting.buttons import AnswerButton
from bot.slack.posting.document_publisher import DocumentPublisher
from bot.slack.turns.answer_follow_up import AnswerFollowUp, Offer
from bot.slack.turns.message_files import MessageFiles
from bot.slack.turns.question_builder import QuestionBuilder
from bot.slack.turns.question_limiter import QuestionLimiter
from bot.slack.turns.reasoning_memory import ReasoningMemory
from bot.slack.turns.recovery.crash_recovery import AnswerRecovery
from bot.slack.turns.recovery.withdrawals import Withdrawals
from bot.slack.turns.reply_factory import ReplyFactory
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.turn_runner import TurnRunner
from bot.slack.turns.turns import TurnManager
from bot.slack.turns.undelivered_answer import UndeliveredAnswers
from bot.slack.turns.waiting_turns import TurnTimes, WaitingTurns
from bot.slack.wire.errors import SlackError
from bot.slack.wire.tasks import BackgroundTasks
from bot.slack.wire.transport.web_client import upload_bytes
from bot.storage.answer_documents import AnswerDocuments
from bot.storage.turns.question_counts import QuestionCounts


class TurnParts:
    """The parts of the turns in one workspace."""

    def __init__(self, shared: SharedParts, channels: ChannelParts, verified: VerifiedParts) -> None:
        self._shared = shared
        self._channels = channels
        self._verified = verified
        upload = functools.partial(upload_bytes, shared.client)
        self._documents = DocumentPublisher(shared.api, upload, AnswerDocuments(shared.database))
        self.reasonings = ReasoningMemory()
        self.materials = _build_materials(shared)
        self.intake = _build_file_intake(shared)

    def build_manager(
        self,
        settings: TurnSettings,
        buttons: Sequence[AnswerButton],
        offer_more: Offer,
        tasks: BackgroundTasks,
        on_unauthorized: Callable[[SlackError], None],
    ) -> TurnManager:
        """Return the turns of questions; their answers get the buttons."""
        shared, needs = self._shared, self._shared.dependencies
        limits = needs.configuration.question_limits
        limiter = QuestionLimiter(QuestionCounts(shared.database), limits, shared.messenger, tasks)
        times = TurnTimes(settings.concurrent)
        return TurnManager(
            needs.ledger,
            self._build_runner(settings, buttons, offer_more),
            Withdrawals(needs.ledger, shared.api, self._documents),
            settings,
            shared.changes,
            WaitingTurns(shared.api, shared.capabilities, times, every_s=settings.show_places_every_s),
            admit=limiter.admit_question,
            on_unauthorized=on_unauthorized,
        )

    def _build_runner(self, settings: TurnSettings, buttons: Sequence[AnswerButton], offer_more: Offer) -> TurnRunner:
        shared, needs, rules = self._shared, self._shared.dependencies, self._channels.rules
        return TurnRunner(
            needs.ledger,
            self._verified.build_answerer(),
            QuestionBuilder(
                shared.threads,
                shared.viewers,
                rules,
                shared.preferences.choose_depth,
                needs.find_salt,
                filter_readable=needs.library.filter_current,
                find_length=shared.preferences.find_length,
                materials=self.materials,
            ),
            ReplyFactory(
                needs.ledger,
                shared.api,
                shared.me,
                shared.capabilities,
                buttons,
                UndeliveredAnswers(shared.messenger, shared.threads),
                find_workspace=shared.directory.find_workspace,
                find_rule=rules.find_rule,
            ),
            AnswerRecovery(needs.ledger, shared.threads, shared.api),
            MessageFiles(shared.threads, shared.messenger, self.intake),
            settings=settings,
            follow_up=AnswerFollowUp(
                shared.answers,
                self.reasonings,
                needs.engine_status,
                offer_more,
                needs.forget,
                AnswerLayout(shared.api, shared.capabilities.limits, self._documents),
                unasked=self._channels.build_unasked_answers(),
            ),
        )


def _build_materials(shared: SharedParts) -> QuestionMaterials | None:
    """Return what reads files and quoted messages; None where none is read."""
    maker = shared.dependencies.materials
    if maker is None:
        return None
    files = ThreadFiles(shared.api, shared.threads, FileReader(shared.client, maker))
    return QuestionMaterials(files, QuotedMessages(shared.api, shared.threads, shared.directory, maker, shared.me))


def _build_file_intake(shared: SharedParts) -> FileIntake | None:
    """Return what stores the files of owners; None where no source takes them."""
    adding = shared.dependencies.adding
    if adding is None:
        return None
    return FileIntake(shared.client, adding, shared.access, shared.threads)
