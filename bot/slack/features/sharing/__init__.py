"""Shares the answers to private questions in the channels where these were asked."""

from __future__ import annotations

from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.subcommand import Subcommand
from bot.slack.features.sharing.share_answer import AskInChannelAction, ShareAnswerAction
from bot.slack.features.sharing.share_command import ShareRunner


def build_feature(tools: FeatureTools) -> Feature:
    """Return the buttons, and the command that allows answers in a shared channel."""
    shared = tools.shared
    ask_there = AskInChannelAction(shared, tools.channel_questions)
    return Feature(
        answer_buttons=[ShareAnswerAction(shared, tools.channel_questions)],
        actions={ask_there.action_id: ask_there.run},
        subcommands=[
            Subcommand(("share", "共享"), ShareRunner(shared).run, lambda user, _rest: shared.access.is_owner(user))
        ],
    )
