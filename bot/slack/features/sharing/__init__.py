"""Shares the answers to private questions in the channels where these were asked."""

from __future__ import annotations

import functools

import structlog

from bot.audit.entries import Event
from bot.messages import commands
from bot.messages.message import render_message
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.subcommand import Subcommand, WrongUsage
from bot.slack.features.sharing.share_answer import AskInChannelAction, ShareAnswerAction
from bot.slack.people.accounts import ChannelKind
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import SlashCommand

_log = structlog.get_logger(__name__)

_SWITCH_WORDS = {
    "on": True, "yes": True, "开": True, "开启": True, "允许": True,
    "off": False, "no": False, "关": False, "关闭": False, "禁止": False,
}  # fmt: skip


def build_feature(tools: FeatureTools) -> Feature:
    """Return the buttons, and the command that allows answers in a shared channel."""
    shared = tools.shared
    ask_there = AskInChannelAction(shared, tools.channel_questions)
    share = Subcommand(
        ("share", "共享"),
        functools.partial(approve_channel, shared),
        lambda user, _rest: shared.access.is_owner(user),
    )
    return Feature(
        answer_buttons=[ShareAnswerAction(shared, tools.channel_questions)],
        actions={ask_there.action_id: ask_there.run},
        subcommands=[share],
    )


async def approve_channel(shared: SharedParts, typed: SlashCommand, rest: str) -> str:
    """Allow answers in the channel of another company where ``/kb share on`` was typed; return what that means.

    ``off`` withdraws the approval. The caller checks that the person is an owner.

    Raises:
        WrongUsage: the words after the command are neither on nor off.
        DatabaseError: the approval cannot be stored.

    """
    if (allow := _SWITCH_WORDS.get(rest.lower())) is None:
        raise WrongUsage("share on | off")
    channel = None if typed.is_direct_message else await shared.directory.find_channel(typed.channel)
    if allow and (channel is None or channel.kind is not ChannelKind.SHARED):
        return render_message(commands.NOT_SHARED, typed.language)
    await shared.approved_channels.set_approved(shared.me.team, typed.channel, typed.user, approved=allow)
    await shared.record_event(Event.SETTING, typed.user, {"channel": typed.channel, "shared_channel_approved": allow})
    _log.info("shared channel approved" if allow else "approval withdrawn", user=typed.user, channel=typed.channel)
    return render_message(commands.SHARING_ON if allow else commands.SHARING_OFF, typed.language)
