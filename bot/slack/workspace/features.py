"""The features of a workspace, and how they are built."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bot.slack.features import (
    answers,
    asking,
    documents,
    feedback,
    kb,
    operations,
    owners,
    refreshes,
    settings,
    sharing,
    verified,
)
from bot.slack.features.kit.channel_questions import ChannelQuestions
from bot.slack.features.kit.feature import BuildFeature, Feature, FeatureTools
from bot.slack.features.kit.private_questions import PrivateQuestions
from bot.slack.posting.buttons import AnswerButton
from bot.slack.turns.answer_follow_up import Offer
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.turns.turn_builder import build_turns
from bot.slack.turns.turns import TurnManager
from bot.slack.wire.errors import SlackError
from bot.slack.workspace.home_tab import HomeTab
from bot.storage.turns.questions import QuestionMessage

FEATURES: Sequence[BuildFeature] = (
    sharing.build_feature,
    asking.build_feature,
    answers.build_feature,
    documents.build_feature,
    refreshes.build_feature,
    verified.build_feature,
    settings.build_feature,
    feedback.build_feature,
    owners.build_feature,
    kb.build_feature,
    operations.build_feature,
)
"""In the order of their buttons under an answer, and of their parts of Home."""


def build_features(
    shared: SharedParts, settings: TurnSettings, on_unauthorized: Callable[[SlackError], None]
) -> tuple[TurnManager, HomeTab, Sequence[Feature]]:
    """Return the turns of a workspace, its Home, and its features, which both use."""
    features: list[Feature] = []
    buttons: list[AnswerButton] = []
    offers: list[Offer] = []
    turns = build_turns(shared, settings, buttons, offers, on_unauthorized)
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
