"""Decides whether a person who presses a button gets an answer, by the rules for messages."""

from __future__ import annotations

from bot.messages import replies
from bot.slack.errors import SlackMissingScope
from bot.slack.events import BotUser
from bot.slack.interactions import ButtonPress
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.transport.web_api import SlackWebApi


class ChannelAccess:
    """Refuses people of other companies, and shared channels unless ``answer_in_shared`` allows them."""

    def __init__(self, api: SlackWebApi, messenger: EphemeralMessenger, me: BotUser, *, answer_in_shared: bool) -> None:
        self._api = api
        self._messenger = messenger
        self._me = me
        self._answer_in_shared = answer_in_shared

    async def check(self, press: ButtonPress) -> bool:
        """Return whether the person gets an answer; if the channel is the reason, tell them.

        Raises:
            SlackError: Slack does not describe the channel.

        """
        if press.user_team not in {"", self._me.team}:
            return False  # people of another company get no answers
        if self._answer_in_shared or not await self._is_shared(press.channel):
            return True
        await self._messenger.reply(press, replies.SHARED_CHANNEL)
        return False

    async def _is_shared(self, channel: str) -> bool:
        """Return whether a channel is shared with another company; a press, unlike a message, does not say so.

        Raises:
            SlackError: Slack does not describe the channel.

        """
        if channel.startswith("D"):
            return False
        try:
            answer = await self._api.call("conversations.info", channel=channel)
        except SlackMissingScope:
            return False  # group messages need a scope that the app does not request
        return bool((answer.get("channel") or {}).get("is_ext_shared"))
