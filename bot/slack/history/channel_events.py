"""What Slack sends about public channels → what it means for their threads as documents. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from bot.slack.events import BotUser, has_mention
from bot.storage.channel_event_log import ChannelEvent, ChannelEventKind

Payload = Mapping[str, Any]

PERSON_SUBTYPES = {"", "file_share", "thread_broadcast", "me_message"}
"""Subtypes of a message that a person wrote."""
_CHANNEL_EVENTS = {
    "channel_archive", "channel_deleted", "channel_left", "channel_rename", "channel_unarchive", "channel_shared",
    "channel_unshared", "channel_id_changed",
}  # fmt: skip
_MEMBER_EVENTS = {"member_joined_channel", "member_left_channel"}


def is_content(message: Payload, me: BotUser, *, bots: bool = False) -> bool:
    """Return whether a message is part of what its channel knows: a person's, and not said to Kvasir.

    ``bots`` takes other apps' messages too.
    """
    if message.get("user") == me.user or (me.bot and message.get("bot_id") == me.bot):
        return False
    if has_mention(str(message.get("text") or ""), me.user):
        return False
    subtype = str(message.get("subtype") or "")
    if message.get("bot_id") or subtype == "bot_message":
        return bots
    return subtype in PERSON_SUBTYPES and message.get("user") != "USLACKBOT"


class ThreadEligibility(IntEnum):
    """Whether a thread is a document."""

    NEVER = 0
    """A conversation with Kvasir, which says nothing that its sources do not say; or what began it was deleted."""
    LISTED = 1
    IF_REPLIED = 2
    """An app began it; it is one once somebody has replied."""


def judge_thread(message: Payload, me: BotUser, *, bots: bool) -> ThreadEligibility:
    """Judge a thread by its first message as ``conversations.history`` gives it."""
    if _involves_bot(message, me) or message.get("subtype") == "tombstone":
        return ThreadEligibility.NEVER
    if is_content(message, me, bots=bots):
        return ThreadEligibility.LISTED
    replied = {str(user) for user in message.get("reply_users") or ()}
    has_replies = int(message.get("reply_count") or 0) > 0 and replied != {me.user}
    return ThreadEligibility.LISTED if has_replies else ThreadEligibility.IF_REPLIED


def _involves_bot(message: Payload, me: BotUser) -> bool:
    return message.get("user") == me.user or has_mention(str(message.get("text") or ""), me.user)


def get_thread_ts(message: Payload) -> str:
    """Return the ``ts`` of the thread that a message is in, or begins."""
    return str(message.get("thread_ts") or message.get("ts") or "")


def read_channel_event(body: Payload, me: BotUser) -> ChannelEvent | None:
    """Return what an event changes in the threads of public channels, None where it changes nothing."""
    event = body.get("event")
    if not isinstance(event, dict):
        return None
    kind = event.get("type")
    if kind == "message" and event.get("channel_type") == "channel":
        return _read_message(event, me)
    if kind in _CHANNEL_EVENTS or (kind in _MEMBER_EVENTS and event.get("user") == me.user):
        channel = event.get("channel")
        name = channel.get("id") if isinstance(channel, dict) else channel
        return ChannelEvent(str(name or ""), "", ChannelEventKind.CHANNEL, str(event.get("event_ts") or ""))
    return None


def _read_message(event: Payload, me: BotUser) -> ChannelEvent | None:
    match event.get("subtype"):
        case "message_changed":
            return _read_change(event, me)
        case "message_deleted":
            return _read_deletion(event, me)
        case _:
            return _read_post(event, event, me)


def _read_post(event: Payload, message: Payload, me: BotUser) -> ChannelEvent | None:
    """Return what a message as it stands now means: a new one, or one that was edited."""
    ts, root = str(message.get("ts") or ""), get_thread_ts(message)
    if ts != root:
        return _make_event(event, root, ChannelEventKind.TOUCHED) if is_content(message, me, bots=True) else None
    if is_content(message, me):
        return _make_event(event, root, ChannelEventKind.SAID)
    return _make_event(
        event, root, ChannelEventKind.BOT if is_content(message, me, bots=True) else ChannelEventKind.SKIPPED
    )


def _read_change(event: Payload, me: BotUser) -> ChannelEvent | None:
    message, before = _get_object(event, "message"), _get_object(event, "previous_message")
    if message.get("subtype") == "tombstone":
        return _make_event(event, get_thread_ts(message), ChannelEventKind.SKIPPED)
    if message.get("text") == before.get("text") and message.get("files") == before.get("files"):
        return None  # a link was unfolded, a reply was counted
    if get_thread_ts(message) != message.get("ts") and is_content(before, me, bots=True):
        return _make_event(event, get_thread_ts(message), ChannelEventKind.TOUCHED)  # it may be said to Kvasir now
    return _read_post(event, message, me)


def _read_deletion(event: Payload, me: BotUser) -> ChannelEvent | None:
    before, ts = _get_object(event, "previous_message"), str(event.get("deleted_ts") or "")
    root = get_thread_ts(before) or ts
    if root == ts:
        return _make_event(
            event, root, ChannelEventKind.SKIPPED if before.get("reply_count") else ChannelEventKind.GONE
        )
    return _make_event(event, root, ChannelEventKind.TOUCHED) if is_content(before, me, bots=True) else None


def _make_event(event: Payload, root: str, what: ChannelEventKind) -> ChannelEvent | None:
    channel, at = str(event.get("channel") or ""), str(event.get("event_ts") or event.get("ts") or "")
    return ChannelEvent(channel, root, what, at) if channel and root else None


def _get_object(payload: Payload, name: str) -> Payload:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}
