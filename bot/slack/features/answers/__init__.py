"""The buttons under an answer that show more of it: passages, reasoning, the web, mute."""

from __future__ import annotations

from bot.slack.features.answers.mute_thread import MuteThreadAction
from bot.slack.features.answers.search_web import SearchWebAction
from bot.slack.features.answers.show_passage import ShowPassageAction
from bot.slack.features.answers.show_reasoning import ShowReasoningAction
from bot.slack.features.kit.feature import Feature, FeatureTools


def build_feature(tools: FeatureTools) -> Feature:
    """Return the buttons."""
    shared, find_passage = tools.shared, tools.shared.dependencies.passage
    passages = [] if find_passage is None else [ShowPassageAction(shared, find_passage)]
    return Feature(
        answer_buttons=[
            *passages,
            SearchWebAction(shared, tools.submit),
            ShowReasoningAction(shared),
            MuteThreadAction(shared),
        ]
    )
