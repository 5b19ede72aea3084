"""The features of a workspace, and how they and its turns are built."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

from bot.audit.audited_answerer import AuditedAnswerer
from bot.slack.features import (
    answers,
    asking,
    cases,
    documents,
    feedback,
    kb,
    operations,
    owners,
    profiles,
    refreshes,
    settings,
    sharing,
    verified,
)
from bot.slack.features.kit.channel_questions import ChannelQuestions
from bot.slack.features.kit.feature import BuildFeature, Feature, FeatureTools
from bot.slack.features.kit.private_questions import PrivateQuestions
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
from bot.slack.turns.waiting_turns import TurnTimes, WaitingTurns
from bot.slack.wire.errors import SlackError
from bot.slack.wire.transport.web_client import upload_bytes
from bot.slack.workspace.home_tab import HomeTab
from bot.storage.answer_documents import AnswerDocuments
from bot.storage.turns.question_counts import QuestionCounts
from bot.storage.turns.questions import QuestionMessage

FEATURES: Sequence[BuildFeature] = (
    sharing.build_feature,
    asking.build_feature,
    profiles.build_feature,
    answers.build_feature,
    documents.build_feature,
    refreshes.build_feature,
    verified.build_feature,
    settings.build_feature,
    feedback.build_feature,
    cases.build_feature,
    owners.build_feature,
    kb.build_feature,
    operations.build_feature,
)
"""All features, in the order of their buttons under an answer, and of their parts of Home."""


def build_features(
    shared: SharedParts, settings: TurnSettings, on_unauthorized: Callable[[SlackError], None]
) -> tuple[TurnManager, HomeTab, Sequence[Feature]]:
    """Return the turns of a workspace, its Home, and its features, which both use."""
    features: list[Feature] = []
    buttons: list[AnswerButton] = []
    offers: list[Offer] = []
    turns = _build_turns(shared, settings, buttons, offers, on_unauthorized)
    home = HomeTab(shared, features)

    async def submit(message: QuestionMessage) -> bool:
        return await turns.submit(message) or await turns.handle_edit(message, f"{time.time():.6f}")

    tools = FeatureTools(
        shared,
        settings,
        turns,
        submit,
        PrivateQuestions(shared.api, submit, shared.me.team, shared.shares),
        ChannelQuestions(shared, turns.submit, turns.handle_deletion),
        home.publish_home,
        features,
    )
    features += [build(tools) for build in FEATURES]
    buttons += [button for feature in features for button in feature.answer_buttons]
    offers += [offer for feature in features for offer in feature.offers]
    return turns, home, features


def _build_turns(
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
        AuditedAnswerer(shared.dependencies.answerer, shared.dependencies.audit_log),
        QuestionBuilder(shared),
        ReplyFactory(shared, buttons),
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
