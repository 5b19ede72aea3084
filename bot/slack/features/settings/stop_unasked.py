"""The button "Don't answer here unasked", which ends answers without a mention in a channel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.messages.errors import explain_error
from bot.messages.forms import channel_settings as texts
from bot.messages.message import render_message
from bot.slack.conversations.channel_rules import Setting
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress
from knowledge.errors import DatabaseError


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
        """Change the setting, or tell the person why that is impossible."""
        try:
            if await self._shared.channel_access.check_press(press) is not None:
                await self._stop_unasked(press)
        except DatabaseError as error:
            await self._shared.messenger.reply_to_press(press, explain_error(error))

    async def _stop_unasked(self, press: ButtonPress) -> None:
        if Setting.UNASKED in self._shared.rules.list_fixed(press.channel):
            await self._shared.messenger.reply_to_press(press, texts.UNASKED_FIXED)
            return
        before = await self._shared.rules.find_chosen(press.channel)
        if not before.unasked_per_hour:
            await self._shared.messenger.reply_to_press(press, texts.UNASKED_OFF)
            return
        await self._shared.channel_changes.change_settings(
            press.channel, press.user, before, replace(before, unasked_per_hour=0)
        )
