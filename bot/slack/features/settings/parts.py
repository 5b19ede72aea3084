"""Builds what the settings of channels need: their store, rules and modal, and unasked answers."""

from __future__ import annotations

from bot.slack.conversations.channel_changes import ChannelChanges, SettingsAccess
from bot.slack.conversations.channel_rules import ChannelRules
from bot.slack.features.kit.channel_access import ChannelAccess
from bot.slack.features.kit.shared_parts import SharedParts
from bot.slack.features.settings.channel_settings import ChannelSettingsModal
from bot.slack.features.settings.stop_unasked import StopUnaskedAction
from bot.slack.turns.unasked_answers import UnaskedAnswers
from bot.storage.channels.channel_settings import ChannelSettingsStore


class ChannelParts:
    """The parts of the channels' settings."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        needs = shared.dependencies
        self._store = ChannelSettingsStore(shared.database, shared.me.team, shared.changes)
        fixed = needs.configuration
        self.rules = ChannelRules(fixed.channels, fixed.web, fixed.thinking, self._store, needs.library)
        self._changes = ChannelChanges(shared.api, self._store, self.rules, shared.directory, shared.messenger)
        self.modal = ChannelSettingsModal(
            shared.api,
            self.rules,
            self._changes,
            SettingsAccess(shared.directory, shared.roles),
            shared.visible_sources,
            shared.messenger,
        )

    def build_unasked_answers(self) -> UnaskedAnswers:
        """Return what decides whether Kvasir answers without a mention."""
        needs = self._shared.dependencies
        return UnaskedAnswers(self.rules, self._store, needs.library)

    def build_stop_button(self, access: ChannelAccess) -> StopUnaskedAction:
        """Return the button under an unasked answer."""
        return StopUnaskedAction(self.rules, self._changes, access, self._shared.messenger)
