"""Translates Slack's events about public channels into changes of their threads. Pure."""

from __future__ import annotations

from enum import IntEnum

from bot.slack.wire.events import PERSON_SUBTYPES, BotUser, Payload, get_channel_id, get_object, has_mention
from bot.storage.channels.channel_event_log import ChannelEvent, ChannelEventKind

_CHANNEL_EVENTS = {
    "channel_archive", "channel_deleted", "channel_left", "channel_rename", "channel_unarchive", "channel_shared",
    "channel_unshared",
}  # fmt: skip
_MEMBER_EVENTS = {"member_joined_channel", "member_left_channel"}


def is_content(message: Payload, me: BotUser, *, bots: bool = False) -> bool:
    """Return whether a message belongs in a document: it is a person's and not for Kvasir.

    With ``bots``, messages of other apps belong there too.
    """
    if me.is_author(message) or has_mention(str(message.get("text") or ""), me.user):
        return False
    subtype = str(message.get("subtype") or "")
    if message.get("bot_id") or subtype == "bot_message":
        return bots
    return subtype in PERSON_SUBTYPES and message.get("user") != "USLACKBOT"


class ThreadEligibility(IntEnum):
    """Whether a thread is a document."""

    NEVER = 0
    """A conversation with Kvasir, which only repeats its sources, or a thread whose first message was deleted."""
    LISTED = 1
    IF_REPLIED = 2
    """An app began it; the first reply of somebody else makes it a document."""


def judge_thread(message: Payload, me: BotUser, *, bots: bool) -> ThreadEligibility:
    """Return whether a thread is a document, by its first message as ``conversations.history`` returns it."""
    involves_bot = message.get("user") == me.user or has_mention(str(message.get("text") or ""), me.user)
    if involves_bot or message.get("subtype") == "tombstone":
        return ThreadEligibility.NEVER
    if is_content(message, me, bots=bots):
        return ThreadEligibility.LISTED
    replied = {str(user) for user in message.get("reply_users") or ()}
    has_replies = int(message.get("reply_count") or 0) > 0 and replied != {me.user}
    return ThreadEligibility.LISTED if has_replies else ThreadEligibility.IF_REPLIED


def get_thread_ts(message: Payload) -> str:
    """Return the ``ts`` of the thread that a message is in, or begins."""
    return str(message.get("thread_ts") or message.get("ts") or "")


def read_channel_event(body: Payload, me: BotUser) -> ChannelEvent | None:
    """Return what an event changes in the threads of public channels, or None if it changes nothing."""
    event = get_object(body, "event")
    kind = event.get("type")
    if kind == "message" and event.get("channel_type") == "channel":
        return _read_message(event, me)
    if kind == "channel_id_changed":
        old, new, at = (str(event.get(name) or "") for name in ("old_channel_id", "new_channel_id", "event_ts"))
        return ChannelEvent(old, new, ChannelEventKind.MOVED, at) if old and new else None
    if kind in _CHANNEL_EVENTS or (kind in _MEMBER_EVENTS and event.get("user") == me.user):
        return ChannelEvent(get_channel_id(event), "", ChannelEventKind.CHANNEL, str(event.get("event_ts") or ""))
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
    """Return what the current state of a new or edited message means."""
    ts, root = str(message.get("ts") or ""), get_thread_ts(message)
    if ts != root:
        return _make_event(event, root, ChannelEventKind.TOUCHED) if is_content(message, me, bots=True) else None
    if is_content(message, me):
        return _make_event(event, root, ChannelEventKind.SAID)
    return _make_event(
        event, root, ChannelEventKind.BOT if is_content(message, me, bots=True) else ChannelEventKind.SKIPPED
    )


def _read_change(event: Payload, me: BotUser) -> ChannelEvent | None:
    message, before = get_object(event, "message"), get_object(event, "previous_message")
    if message.get("subtype") == "tombstone":
        return _make_event(event, get_thread_ts(message), ChannelEventKind.SKIPPED)
    if message.get("text") == before.get("text") and message.get("files") == before.get("files"):
        return None  # Slack unfurled a link or counted a reply
    if get_thread_ts(message) != message.get("ts") and is_content(before, me, bots=True):
        return _make_event(
            event, get_thread_ts(message), ChannelEventKind.TOUCHED
        )  # the edit may have added a mention of Kvasir
    return _read_post(event, message, me)


def _read_deletion(event: Payload, me: BotUser) -> ChannelEvent | None:
    before, ts = get_object(event, "previous_message"), str(event.get("deleted_ts") or "")
    root = get_thread_ts(before) or ts
    if root == ts:
        return _make_event(
            event, root, ChannelEventKind.SKIPPED if before.get("reply_count") else ChannelEventKind.GONE
        )
    return _make_event(event, root, ChannelEventKind.TOUCHED) if is_content(before, me, bots=True) else None


def _make_event(event: Payload, root: str, kind: ChannelEventKind) -> ChannelEvent | None:
    channel, at = str(event.get("channel") or ""), str(event.get("event_ts") or event.get("ts") or "")
    return ChannelEvent(channel, root, kind, at) if channel and root else None
