"""Builds what leads a question to its answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from bot.slack.posting.answer_layout import AnswerLayout
from bot.slack.posting.buttons import AnswerButton
from bot.slack.posting.document_publisher import DocumentPublisher
from bot.slack.turns.answer_follow_up import AnswerFollowUp, Offer
from bot.slack.turns.message_files import MessageFiles
from bot.slack.turns.question_builder import QuestionBuilder
from bot.slack.turns.question_limiter import QuestionLimiter
from bot.slack.turns.recovery.crash_recovery import AnswerRecovery
from bot.slack.turns.recovery.withdrawals import Withdrawals
from bot.slack.turns.reply_factory import ReplyFactory
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.turns.turn_runner import TurnRunner
from bot.slack.turns.turns import TurnManager
from bot.slack.turns.unasked_answers import UnaskedAnswers
from bot.slack.turns.undelivered_answer import UndeliveredAnswers
from bot.slack.turns.waiting_turns import TurnTimes, WaitingTurns
from bot.slack.wire.errors import SlackError
from bot.slack.wire.transport.web_client import upload_bytes
from bot.storage.answer_documents import AnswerDocuments
from bot.storage.turns.question_counts import QuestionCounts


def build_turns(
    shared: SharedParts,
    settings: TurnSettings,
    buttons: Sequence[AnswerButton],
    offers: Sequence[Offer],
    on_unauthorized: Callable[[SlackError], None],
) -> TurnManager:
    """Return the turns of a workspace's questions; ``buttons`` and ``offers`` may be filled later."""
    ledger, limits = shared.dependencies.ledger, shared.dependencies.configuration.question_limits
    documents = DocumentPublisher(
        shared.api, functools.partial(upload_bytes, shared.client), AnswerDocuments(shared.database)
    )
    layout = AnswerLayout(shared.api, shared.capabilities.limits, documents)
    runner = TurnRunner(
        ledger,
        shared.dependencies.answerer,
        QuestionBuilder(shared),
        ReplyFactory(shared, buttons, UndeliveredAnswers(shared)),
        AnswerRecovery(ledger, shared.threads, shared.api),
        MessageFiles(shared),
        settings=settings,
        follow_up=AnswerFollowUp(shared, offers, layout, unasked=UnaskedAnswers(shared)),
    )
    limiter = QuestionLimiter(QuestionCounts(shared.database), limits, shared.messenger, shared.tasks)
    times = TurnTimes(settings.concurrent)
    return TurnManager(
        ledger,
        runner,
        Withdrawals(ledger, shared.api, documents),
        settings,
        shared.changes,
        WaitingTurns(shared.api, shared.capabilities, times, every_s=settings.show_places_every_s),
        admit=limiter.admit_question,
        on_unauthorized=on_unauthorized,
    )
