"""Parses Slack's events into typed values. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.answering.quoting import neutralise_name
from bot.storage.turns.questions import QuestionKey, QuestionMessage

Payload = Mapping[str, Any]

PERSON_SUBTYPES = {"", "file_share", "thread_broadcast", "me_message"}
"""Subtypes of messages that people write; all others are reports about the channel."""
METADATA_PREFIX = "kvasir_"
"""The event types of the metadata that a Kvasir gives its messages begin with this."""
MUTE_REACTION = "mute"
_CHANNEL_ENTITY = "slack#/types/channel_id"
_TIMESTAMP = re.compile(r"\d+(?:\.\d+)?")
REDELIVERY_S = 600.0
"""How long Slack may still deliver an event; it retries at once, after one minute and after five minutes."""
_USER = re.compile(r"<@([A-Z0-9]+)(?:\|([^<>]*))?>")
_LINK = re.compile(r"<(https?://[^|<>]+|mailto:[^|<>]+)(?:\|([^<>]*))?>")
_CHANNEL = re.compile(r"<#([A-Z0-9]+)(?:\|([^<>]*))?>")
_SPECIAL = re.compile(r"<!(?:subteam\^[A-Z0-9]+|([a-z]+)|[^|<>]*)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True)
class BotUser:
    """The bot's identity in a workspace."""

    team: str
    user: str
    bot: str
    enterprise: str = ""
    """The Enterprise Grid organization of the workspace, "" without one."""
    workspaces: tuple[str, ...] = ()
    """The workspaces of an installation for a whole organization; none if the token belongs to one workspace."""

    @property
    def teams(self) -> frozenset[str]:
        """Return the installation's own id and its workspaces: the teams of its rows in the database."""
        return frozenset({self.team, *self.workspaces})

    def is_author(self, message: Payload) -> bool:
        """Return whether the bot wrote a message."""
        return message.get("user") == self.user or (bool(self.bot) and message.get("bot_id") == self.bot)


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A person's message that may be for the bot."""

    message: QuestionMessage
    is_addressed: bool
    """Whether it mentions the bot or is a direct message; ``conversations.addressing`` decides about others."""
    is_channel_shared: bool
    """Whether the channel is shared with another company."""


@dataclass(frozen=True, slots=True)
class AppAsked:
    """Another app mentions the bot in a channel."""

    key: QuestionKey
    thread_ts: str
    app: str
    """The id of the app's bot."""
    text: str
    ids: frozenset[str]
    """What names the author, as only Slack can set it: the ids of the bot, of its app and of its workflow."""
    is_kvasir: bool = False
    """Whether the message itself says that a Kvasir wrote it."""
    is_channel_shared: bool = False
    """Whether the channel is shared with another company."""


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """A person edited a message."""

    message: MessageReceived
    edited_ts: str
    """The time of the edit, which orders the edits of a message."""
    is_newly_addressed: bool

    @property
    def is_early(self) -> bool:
        """Return whether the edit may arrive before its message, because Slack may still be sending that."""
        return float(self.edited_ts or 0) - float(self.message.message.key.ts or 0) < REDELIVERY_S


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message was deleted."""

    key: QuestionKey
    message: MessageReceived | None = None
    """The message, if a person wrote it and it may be for the bot."""


@dataclass(frozen=True, slots=True)
class StopPressed:
    """A person pressed Stop in a thread."""

    channel: str
    thread_ts: str


@dataclass(frozen=True, slots=True)
class MuteReaction:
    """A person added 🔇 to a message of the bot, or removed it."""

    key: QuestionKey
    user: str
    is_added: bool
    at: float
    """The time of the reaction, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class HomeOpened:
    """A person opened the app's Home tab."""

    user: str


@dataclass(frozen=True, slots=True)
class MessagesOpened:
    """A person opened the app's Messages tab, or looks at something else while it is open."""

    user: str
    conversation: str
    """The direct messages with the app, "" if the event does not name them."""
    looked_at: str
    """The channel that the person looks at, "" for none."""


@dataclass(frozen=True, slots=True)
class SharingEnded:
    """No other company is in a channel any more."""

    channel: str


@dataclass(frozen=True, slots=True)
class ChannelIdChanged:
    """A channel has another id now."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class AppRemoved:
    """The app was uninstalled, or its tokens were revoked."""

    is_uninstalled: bool


SlackEvent = (
    MessageReceived
    | AppAsked
    | MessageEdited
    | MessageDeleted
    | StopPressed
    | MuteReaction
    | HomeOpened
    | MessagesOpened
    | SharingEnded
    | ChannelIdChanged
    | AppRemoved
)


def parse_event(body: Payload, me: BotUser) -> SlackEvent | None:
    """Return the meaning of an event, or None if it is not for the bot."""
    event = get_object(body, "event")
    reader = _READERS.get(get_text(event, "type"))
    return reader(body, event, me) if reader is not None else None


def _read_message(body: Payload, event: Payload, me: BotUser) -> SlackEvent | None:
    match event.get("subtype"):
        case "message_deleted":
            return _read_deletion(body, event, me, get_text(event, "deleted_ts"))
        case "message_changed":
            return _read_edit(body, event, me)
        case _:
            return _read_posted_message(body, event, me)


def _read_posted_message(body: Payload, event: Payload, me: BotUser) -> SlackEvent | None:
    return _read_new_message(body, event, me) or _read_app_message(body, event, me)


def _read_app_message(body: Payload, event: Payload, me: BotUser) -> AppAsked | None:
    """Return what another app asks in a channel, from the event ``message``: ``app_mention`` names no workflow."""
    app, text, ts = get_text(event, "bot_id"), get_text(event, "text"), get_text(event, "ts")
    if not app or me.is_author(event) or get_text(event, "subtype") not in {"", "bot_message"}:
        return None
    if event.get("type") != "message" or event.get("channel_type") == "im" or not has_mention(text, me.user):
        return None
    app_id = get_text(event, "app_id") or get_text(get_object(event, "bot_profile"), "app_id")
    is_own_app = bool(app_id) and app_id == body.get("api_app_id")  # the same app in another workspace
    return AppAsked(
        _read_key(me, event, ts),
        get_text(event, "thread_ts") or ts,
        app,
        text,
        frozenset({app, app_id, get_text(event, "workflow_id")} - {""}),
        is_kvasir=is_own_app or get_text(get_object(event, "metadata"), "event_type").startswith(METADATA_PREFIX),
        is_channel_shared=bool(body.get("is_ext_shared_channel")),
    )


def _read_stop(_body: Payload, event: Payload, _me: BotUser) -> StopPressed:
    return StopPressed(get_text(event, "channel"), get_text(event, "thread_ts") or get_text(event, "event_ts"))


def _read_reaction(_body: Payload, event: Payload, me: BotUser) -> MuteReaction | None:
    item, at = get_object(event, "item"), get_text(event, "event_ts")
    if event.get("reaction") != MUTE_REACTION or event.get("item_user") != me.user or not _TIMESTAMP.fullmatch(at):
        return None
    key = _read_key(me, item, get_text(item, "ts"))
    return MuteReaction(key, get_text(event, "user"), event.get("type") == "reaction_added", float(at))


def _read_home_opened(body: Payload, event: Payload, me: BotUser) -> HomeOpened | MessagesOpened | None:
    if event.get("tab") == "messages":
        return _read_context(body, event, me)
    user = get_text(event, "user")
    return HomeOpened(user) if event.get("tab") == "home" and user else None


def _read_context(_body: Payload, event: Payload, _me: BotUser) -> MessagesOpened | None:
    user, conversation = get_text(event, "user"), get_text(event, "channel")
    entities = get_object(event, "context").get("entities")
    channels = (
        get_text(one, "value")
        for one in (entities if isinstance(entities, list) else ())
        if isinstance(one, dict) and one.get("type") == _CHANNEL_ENTITY
    )
    return MessagesOpened(user, conversation, next(channels, "")) if user else None


def _read_end_of_sharing(_body: Payload, event: Payload, _me: BotUser) -> SharingEnded | None:
    return None if event.get("is_ext_shared") is True else SharingEnded(get_text(event, "channel"))


def _read_id_change(_body: Payload, event: Payload, _me: BotUser) -> ChannelIdChanged | None:
    old, new = get_text(event, "old_channel_id"), get_text(event, "new_channel_id")
    return ChannelIdChanged(old, new) if old and new else None


def _read_removal(_body: Payload, event: Payload, _me: BotUser) -> AppRemoved | None:
    is_uninstalled = event.get("type") == "app_uninstalled"
    return AppRemoved(is_uninstalled) if is_uninstalled or get_object(event, "tokens").get("bot") else None


def _read_edit(body: Payload, event: Payload, me: BotUser) -> SlackEvent | None:
    message, before = get_object(event, "message"), get_object(event, "previous_message")
    if message.get("subtype") == "tombstone":
        return _read_deletion(body, event, me, get_text(message, "ts"))
    if message.get("text") == before.get("text"):
        return None  # Slack unfurled a link, counted a reply or continued a stream
    received = _read_new_message(body, {**message, **_read_place(event)}, me)
    edited = get_object(message, "edited")
    if received is None or edited.get("user", received.message.user) != received.message.user:
        return None
    edited_ts = get_text(edited, "ts") or get_text(event, "ts")
    was_addressed = has_mention(get_text(before, "text"), me.user)
    return MessageEdited(received, edited_ts, is_newly_addressed=received.is_addressed and not was_addressed)


def _read_deletion(body: Payload, event: Payload, me: BotUser, ts: str) -> MessageDeleted:
    before = {**get_object(event, "previous_message"), **_read_place(event), "ts": ts}
    return MessageDeleted(_read_key(me, event, ts), _read_new_message(body, before, me))


def _read_place(event: Payload) -> Payload:
    """Return the fields that say where a message is, which Slack leaves out of a message within an event."""
    return {"channel": event.get("channel"), "channel_type": event.get("channel_type")}


def _read_new_message(body: Payload, event: Payload, me: BotUser) -> MessageReceived | None:
    user, text = get_text(event, "user"), get_text(event, "text")
    if get_text(event, "subtype") not in PERSON_SUBTYPES or user in {"", me.user, "USLACKBOT"} or event.get("bot_id"):
        return None
    direct = event.get("channel_type") == "im"
    mentioned = event.get("type") == "app_mention" or has_mention(text, me.user)
    ts, files = get_text(event, "ts"), event.get("files")
    message = QuestionMessage(
        key=_read_key(me, event, ts),
        thread_ts=get_text(event, "thread_ts") or ts,
        user=user,
        text=text,
        is_direct=direct,
        files=len(files) if isinstance(files, list) else 0,
    )
    return MessageReceived(
        message,
        is_addressed=mentioned or direct,
        is_channel_shared=bool(body.get("is_ext_shared_channel")),
    )


_READERS: dict[str, Callable[[Payload, Payload, BotUser], SlackEvent | None]] = {
    "app_mention": _read_posted_message,
    "message": _read_message,
    "agent_session_stopped": _read_stop,
    "reaction_added": _read_reaction,
    "reaction_removed": _read_reaction,
    "app_home_opened": _read_home_opened,
    "app_context_changed": _read_context,
    "channel_unshared": _read_end_of_sharing,
    "channel_id_changed": _read_id_change,
    "app_uninstalled": _read_removal,
    "tokens_revoked": _read_removal,
}


def _read_key(me: BotUser, event: Payload, ts: str) -> QuestionKey:
    """Return the key of a message; its team is the installation, because an event names the channel's host."""
    return QuestionKey(me.team, get_text(event, "channel"), ts)


def get_text(payload: Payload, name: str) -> str:
    """Return a payload's text, or an empty one."""
    value = payload.get(name)
    return value if isinstance(value, str) else ""


def get_object(payload: Payload, name: str) -> Payload:
    """Return a payload's nested object, or an empty one."""
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def get_channel_id(event: Payload) -> str:
    """Return the channel of an event, which names it by its id or as an object, or ""."""
    channel = event.get("channel")
    return str((channel.get("id") if isinstance(channel, dict) else channel) or "")


def has_mention(text: str, user: str) -> bool:
    """Return whether a text as Slack sends it mentions this user."""
    return any(match[1] == user for match in _USER.finditer(text))


def find_mentioned_users(text: str) -> frozenset[str]:
    """Return the ids of all users that a text mentions."""
    return frozenset(match[1] for match in _USER.finditer(text))


def make_readable(text: str, names: Mapping[str, str], *, me: str = "") -> str:
    """Return a text with names in place of Slack's control sequences, without the mentions of ``me``."""

    def render_user(match: re.Match[str]) -> str:
        return "" if match[1] == me else f"@{names.get(match[1]) or neutralise_name(match[2] or '') or 'someone'}"

    text = _USER.sub(render_user, text)
    text = _LINK.sub(_render_link, text)
    text = _CHANNEL.sub(lambda match: f"#{match[2] or 'a channel'}", text)
    text = _SPECIAL.sub(lambda match: match[2] or (f"@{match[1]}" if match[1] else ""), text)
    return re.sub(r"[ \t]{2,}", " ", html.unescape(text)).strip()


def _render_link(match: re.Match[str]) -> str:
    """Return a link with its label, or the words that a person typed if Slack made the link of them.

    Slack makes a link of every word that ends like a domain (README.md, socket.io). Only a path or ``www.`` shows that
    the person meant an address.
    """
    url, label = match[1], match[2] or match[1]
    if label == url:
        return url
    typed = url.removeprefix("mailto:").removeprefix("http://").rstrip("/")
    if typed.casefold() != label.removeprefix("http://").rstrip("/").casefold():
        return f"{label} ({url})"
    return url if "/" in label or label.lower().startswith("www.") else label
