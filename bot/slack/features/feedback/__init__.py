"""What a person does about an answer: vote, ask for another one or delete it; owners see the bad ones."""

from __future__ import annotations

from bot.slack.features.feedback.change_answer import AnswerAgainAction, DeleteAnswerAction
from bot.slack.features.feedback.feedback_command import FeedbackRunner
from bot.slack.features.feedback.open_questions import OpenQuestionsSection
from bot.slack.features.feedback.rate_answer import FeedbackModal, RateAnswerAction
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.subcommand import Subcommand


def build_feature(tools: FeatureTools) -> Feature:
    """Return the buttons, the modal and what owners see."""
    shared = tools.shared
    modal = FeedbackModal(shared)
    return Feature(
        answer_buttons=[
            AnswerAgainAction(shared, tools.turns.regenerate),
            RateAnswerAction(shared, modal),
            DeleteAnswerAction(shared, tools.channel_questions.delete_everywhere),
        ],
        modals=[modal],
        subcommands=[Subcommand(("feedback", "votes", "评价", "反馈"), FeedbackRunner(shared).run)],
        owner_sections=[OpenQuestionsSection(shared)],
    )
