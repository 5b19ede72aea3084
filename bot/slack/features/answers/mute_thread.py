"""The button "Mute in this thread", which ends Kvasir's answers to messages that do not mention it."""

from __future__ import annotations

from typing import Any

from bot.messages import threads
from bot.messages.errors import explain_error
from bot.messages.message import render_message
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress
from knowledge.errors import DatabaseError


class MuteThreadAction:
    """Mutes threads. Answers to follow-ups have the button: only there does Kvasir answer without a mention."""

    action_id = "kvasir:mute"

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the button under an answer to a follow-up in a channel or a group message."""
        if answer.channel.startswith("D") or answer.thread_ts == answer.question_ts:
            return []
        return [build_button(self.action_id, render_message(threads.MUTE_THREAD, answer.language), answer.thread_ts)]

    async def run(self, press: ButtonPress) -> None:
        """Mute the thread of a button."""
        label = render_message(threads.MUTE_THREAD, press.language)
        try:
            await self._shared.attention.mute_thread(press.channel, press.value, press.user, label)
        except DatabaseError as error:
            await self._shared.messenger.reply_to_press(press, explain_error(error))
