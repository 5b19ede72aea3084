"""What Slack sends about public channels → what it means for their threads as documents. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from bot.slack.events import Me, mentions
from bot.storage.channel_event_log import News, What

Payload = Mapping[str, Any]

SPOKEN = {"", "file_share", "thread_broadcast", "me_message"}
"""Subtypes of a message that a person wrote."""
_OF_CHANNELS = {
    "channel_archive", "channel_deleted", "channel_left", "channel_rename", "channel_unarchive", "channel_shared",
    "channel_unshared", "channel_id_changed",
}  # fmt: skip
_OF_MEMBERS = {"member_joined_channel", "member_left_channel"}


def is_told(message: Payload, me: Me, *, bots: bool = False) -> bool:
    """Tell whether a message is part of what its channel knows: a person's, and not said to Kvasir.

    ``bots`` takes other apps' messages too.
    """
    if message.get("user") == me.user or (me.bot and message.get("bot_id") == me.bot):
        return False
    if mentions(str(message.get("text") or ""), me.user):
        return False
    subtype = str(message.get("subtype") or "")
    if message.get("bot_id") or subtype == "bot_message":
        return bots
    return subtype in SPOKEN and message.get("user") != "USLACKBOT"


class Standing(IntEnum):
    """Whether a thread is a document."""

    NEVER = 0
    """A conversation with Kvasir, which says nothing that its sources do not say; or what began it was deleted."""
    LISTED = 1
    IF_REPLIED = 2
    """An app began it; it is one once somebody has replied."""


def standing(message: Payload, me: Me, *, bots: bool) -> Standing:
    """Judge a thread by its first message as ``conversations.history`` gives it."""
    if _to_us(message, me) or message.get("subtype") == "tombstone":
        return Standing.NEVER
    if is_told(message, me, bots=bots):
        return Standing.LISTED
    replied = {str(user) for user in message.get("reply_users") or ()}
    has_replies = int(message.get("reply_count") or 0) > 0 and replied != {me.user}
    return Standing.LISTED if has_replies else Standing.IF_REPLIED


def _to_us(message: Payload, me: Me) -> bool:
    return message.get("user") == me.user or mentions(str(message.get("text") or ""), me.user)


def root_of(message: Payload) -> str:
    """Return the ``ts`` of the thread that a message is in, or begins."""
    return str(message.get("thread_ts") or message.get("ts") or "")


def read_news(body: Payload, me: Me) -> News | None:
    """Return what an event changes in the threads of public channels, None where it changes nothing."""
    event = body.get("event")
    if not isinstance(event, dict):
        return None
    kind = event.get("type")
    if kind == "message" and event.get("channel_type") == "channel":
        return _of_message(event, me)
    if kind in _OF_CHANNELS or (kind in _OF_MEMBERS and event.get("user") == me.user):
        channel = event.get("channel")
        name = channel.get("id") if isinstance(channel, dict) else channel
        return News(str(name or ""), "", What.CHANNEL, str(event.get("event_ts") or ""))
    return None


def _of_message(event: Payload, me: Me) -> News | None:
    match event.get("subtype"):
        case "message_changed":
            return _changed(event, me)
        case "message_deleted":
            return _deleted(event, me)
        case _:
            return _posted(event, event, me)


def _posted(event: Payload, message: Payload, me: Me) -> News | None:
    """Return what a message as it stands now means: a new one, or one that was edited."""
    ts, root = str(message.get("ts") or ""), root_of(message)
    if ts != root:
        return _news(event, root, What.TOUCHED) if is_told(message, me, bots=True) else None
    if is_told(message, me):
        return _news(event, root, What.SAID)
    return _news(event, root, What.BOT if is_told(message, me, bots=True) else What.SKIPPED)


def _changed(event: Payload, me: Me) -> News | None:
    message, before = _object(event, "message"), _object(event, "previous_message")
    if message.get("subtype") == "tombstone":
        return _news(event, root_of(message), What.SKIPPED)
    if message.get("text") == before.get("text") and message.get("files") == before.get("files"):
        return None  # a link was unfolded, a reply was counted
    if root_of(message) != message.get("ts") and is_told(before, me, bots=True):
        return _news(event, root_of(message), What.TOUCHED)  # it may be said to Kvasir now
    return _posted(event, message, me)


def _deleted(event: Payload, me: Me) -> News | None:
    before, ts = _object(event, "previous_message"), str(event.get("deleted_ts") or "")
    root = root_of(before) or ts
    if root == ts:
        return _news(event, root, What.SKIPPED if before.get("reply_count") else What.GONE)
    return _news(event, root, What.TOUCHED) if is_told(before, me, bots=True) else None


def _news(event: Payload, root: str, what: What) -> News | None:
    channel, at = str(event.get("channel") or ""), str(event.get("event_ts") or event.get("ts") or "")
    return News(channel, root, what, at) if channel and root else None


def _object(payload: Payload, name: str) -> Payload:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}
