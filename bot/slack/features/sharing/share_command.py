"""``/kb share on|off``: an owner allows answers in a channel that is shared with another company."""

from __future__ import annotations

import structlog

from bot.messages import commands
from bot.messages.message import render_message
from bot.slack.features.kit.subcommand import WrongUsage
from bot.slack.people.accounts import ChannelKind
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import SlashCommand

_log = structlog.get_logger(__name__)

_SWITCH_WORDS = {
    "on": True, "yes": True, "开": True, "开启": True, "允许": True,
    "off": False, "no": False, "关": False, "关闭": False, "禁止": False,
}  # fmt: skip


class ShareRunner:
    """Approves shared channels. The caller checks that the person is an owner."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def run(self, typed: SlashCommand, rest: str) -> str:
        """Approve the channel where the command was typed, or withdraw the approval; return what that means.

        Raises:
            WrongUsage: the words after the command are neither on nor off.
            DatabaseError: the approval cannot be stored.

        """
        if (allow := _SWITCH_WORDS.get(rest.lower())) is None:
            raise WrongUsage("share on | off")
        channel = None if typed.is_direct_message else await self._shared.directory.find_channel(typed.channel)
        if allow and (channel is None or channel.kind is not ChannelKind.SHARED):
            return render_message(commands.NOT_SHARED, typed.language)
        await self._shared.approved_channels.set_approved(
            self._shared.me.team, typed.channel, typed.user, approved=allow
        )
        _log.info("shared channel approved" if allow else "approval withdrawn", user=typed.user, channel=typed.channel)
        return render_message(commands.SHARING_ON if allow else commands.SHARING_OFF, typed.language)
