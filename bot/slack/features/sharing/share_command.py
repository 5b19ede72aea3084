"""``/kb share on|off``: an owner allows answers in a channel that is shared with another company."""

from __future__ import annotations

import structlog

from bot.messages import commands
from bot.messages.message import render_message
from bot.slack.features.kit.parsing import ShareCommand
from bot.slack.people.accounts import ChannelKind
from bot.slack.people.directory import SlackDirectory
from bot.slack.wire.interactions import SlashCommand
from bot.storage.channels.approved_channels import ApprovedChannels

_log = structlog.get_logger(__name__)


class ShareRunner:
    """Approves shared channels. The caller checks that the person is an owner."""

    def __init__(self, directory: SlackDirectory, approved_channels: ApprovedChannels, team: str) -> None:
        self._directory = directory
        self._approved = approved_channels
        self._team = team

    async def run(self, typed: SlashCommand, command: ShareCommand) -> str:
        """Approve the channel where the command was typed, or withdraw the approval; return what that means.

        Raises:
            DatabaseError: the approval cannot be stored.

        """
        allow = command.allow
        channel = None if typed.is_direct_message else await self._directory.find_channel(typed.channel)
        if allow and (channel is None or channel.kind is not ChannelKind.SHARED):
            return render_message(commands.NOT_SHARED, typed.language)
        await self._approved.set_approved(self._team, typed.channel, typed.user, approved=allow)
        _log.info("shared channel approved" if allow else "approval withdrawn", user=typed.user, channel=typed.channel)
        return render_message(commands.SHARING_ON if allow else commands.SHARING_OFF, typed.language)
