"""Decides whether a person who presses a button gets an answer, by the rules for messages."""

from __future__ import annotations

from bot.messages import replies
from bot.slack.people.finder import ViewerFinder
from bot.slack.people.refusals import explain_refusal
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.interactions import ButtonPress
from knowledge.interfaces import Viewers


class ChannelAccess:
    """Refuses people of other companies, and shared channels that no owner has approved."""

    def __init__(self, viewers: ViewerFinder, messenger: EphemeralMessenger) -> None:
        self._viewers = viewers
        self._messenger = messenger

    async def check_press(self, press: ButtonPress) -> Viewers | None:
        """Return the person as the only viewer; None if there must be no answer, and the person learns why.

        Raises:
            DatabaseError: the approval of a shared channel cannot be read.

        """
        audience = await self._viewers.find_press_audience(press.channel, press.user)
        if audience.refusal is not None:
            await self._messenger.reply_to_press(press, explain_refusal(audience.refusal))
        elif not audience.is_complete:
            await self._messenger.reply_to_press(press, replies.AUDIENCE_UNKNOWN)
        else:
            return audience.viewers
        return None
