"""The settings of a person and of a channel."""

from __future__ import annotations

from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.kb_texts import CHANNEL_SETTINGS
from bot.slack.features.kit.subcommand import Subcommand
from bot.slack.features.settings.channel_settings import ChannelSettingsModal
from bot.slack.features.settings.personal_settings import OPEN_SETTINGS, SettingsModal, SettingsPart
from bot.slack.features.settings.stop_unasked import StopUnaskedAction
from bot.slack.features.settings.think_command import THINK, ThinkCommand


def build_feature(tools: FeatureTools) -> Feature:
    """Return the commands, the modals and the person's part of Home."""
    shared = tools.shared
    modal = SettingsModal(shared, tools.publish_home)
    channel = ChannelSettingsModal(shared)
    return Feature(
        answer_buttons=[StopUnaskedAction(shared)],
        actions={OPEN_SETTINGS: modal.open, CHANNEL_SETTINGS: channel.open},
        commands={THINK: ThinkCommand(shared).run},
        subcommands=[Subcommand(("channel", "settings", "频道", "设置"), lambda typed, _rest: channel.open(typed))],
        modals=[modal, channel],
        home_parts=[SettingsPart(shared)],
    )
