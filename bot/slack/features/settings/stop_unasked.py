"""The button "Don't answer here unasked", which ends answers without a mention in a channel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.messages.forms import channel_settings as texts
from bot.messages.message import render_message
from bot.slack.conversations.channel_rules import Setting
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused


class StopUnaskedAction:
    """Ends answers without a mention. Every colleague in the channel may do that; only some may begin them."""

    action_id = "kvasir:stop-unasked"

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the button under an answer that nobody asked for."""
        if not answer.is_unasked:
            return []
        return [build_button(self.action_id, render_message(texts.STOP_UNASKED, answer.language), answer.channel)]

    async def run(self, press: ButtonPress) -> None:
        """Change the setting.

        Raises:
            InteractionRefused: there must be no answer for the person, or nothing to change.
            DatabaseError: the setting cannot be stored.

        """
        await self._shared.check_press(press)
        if Setting.UNASKED in self._shared.rules.list_fixed(press.channel):
            raise InteractionRefused(texts.UNASKED_FIXED)
        before = await self._shared.channel_settings.find_settings(press.channel)
        if not before.unasked_per_hour:
            raise InteractionRefused(texts.UNASKED_OFF)
        await self._shared.channel_changes.change_settings(
            press.channel, press.user, before, replace(before, unasked_per_hour=0)
        )
