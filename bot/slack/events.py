"""What Slack sends → what it means for the bot. Pure: payloads in, small values out, nothing else known."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.storage.questions import QuestionKey, QuestionMessage

Payload = Mapping[str, Any]

_PERSON_SUBTYPES = {"", "file_share", "thread_broadcast", "me_message"}
"""Subtypes of a message that a person wrote as such; everything else is news about the channel."""
_USER = re.compile(r"<@([A-Z0-9]+)(?:\|([^>]*))?>")
_LINK = re.compile(r"<(https?://[^|>]+|mailto:[^|>]+)(?:\|([^>]*))?>")
_CHANNEL = re.compile(r"<#([A-Z0-9]+)(?:\|([^>]*))?>")
_SPECIAL = re.compile(r"<!(?:subteam\^[A-Z0-9]+|([a-z]+)|[^|>]*)(?:\|([^>]*))?>")


@dataclass(frozen=True, slots=True)
class BotUser:
    """Who the bot is in this workspace."""

    team: str
    user: str
    bot: str


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A person said something that may be for the bot."""

    message: QuestionMessage
    is_addressed: bool
    """Mentioned, or in a direct message; else it counts only in a thread that the bot takes part in."""
    is_from_other_company: bool
    """Whether the person belongs to another company's workspace."""
    shared: bool
    """Whether the channel is shared with another company."""


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """A person changed what they had said."""

    said: MessageReceived
    newly_addressed: bool
    """Whether the mention of the bot came with this edit."""


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message is gone."""

    key: QuestionKey


@dataclass(frozen=True, slots=True)
class StopPressed:
    """A person pressed Stop in a thread."""

    channel: str
    thread_ts: str


@dataclass(frozen=True, slots=True)
class HomeOpened:
    """A person opened the app's home."""

    user: str


@dataclass(frozen=True, slots=True)
class AppRemoved:
    """The app was uninstalled, or its tokens were revoked."""


SlackEvent = MessageReceived | MessageEdited | MessageDeleted | StopPressed | HomeOpened | AppRemoved


def parse_event(body: Payload, me: BotUser) -> SlackEvent | None:
    """Return what an event means, or None where it is not for the bot."""
    event = body.get("event")
    if not isinstance(event, dict):
        return None
    kind = event.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    return reader(body, event, me) if reader is not None else None


def _read_message(body: Payload, event: Payload, me: BotUser) -> SlackEvent | None:
    match event.get("subtype"):
        case "message_deleted":
            return MessageDeleted(_read_key(body, event, _get_text(event, "deleted_ts")))
        case "message_changed":
            return _read_edit(body, event, me)
        case _:
            return _read_new_message(body, event, me)


def _read_stop(_body: Payload, event: Payload, _me: BotUser) -> StopPressed:
    return StopPressed(_get_text(event, "channel"), _get_text(event, "thread_ts") or _get_text(event, "event_ts"))


def _read_home_opened(_body: Payload, event: Payload, _me: BotUser) -> HomeOpened | None:
    user = _get_text(event, "user")
    return HomeOpened(user) if event.get("tab") == "home" and user else None


def _read_removal(_body: Payload, event: Payload, _me: BotUser) -> AppRemoved | None:
    return AppRemoved() if event.get("type") == "app_uninstalled" or _get_object(event, "tokens").get("bot") else None


def _read_edit(body: Payload, event: Payload, me: BotUser) -> SlackEvent | None:
    message, before = _get_object(event, "message"), _get_object(event, "previous_message")
    if message.get("subtype") == "tombstone":
        return MessageDeleted(_read_key(body, event, _get_text(message, "ts")))
    if message.get("text") == before.get("text"):
        return None  # a link was unfolded, a reply was counted, a stream went on
    said = _read_new_message(
        body, {**message, "channel": event.get("channel"), "channel_type": event.get("channel_type")}, me
    )
    if said is None:
        return None
    return MessageEdited(
        said, newly_addressed=said.is_addressed and not has_mention(_get_text(before, "text"), me.user)
    )


def _read_new_message(body: Payload, event: Payload, me: BotUser) -> MessageReceived | None:
    user, text = _get_text(event, "user"), _get_text(event, "text")
    if _get_text(event, "subtype") not in _PERSON_SUBTYPES or user in {"", me.user, "USLACKBOT"} or event.get("bot_id"):
        return None
    direct = _get_text(event, "channel_type") in {"im", "mpim"}
    mentioned = event.get("type") == "app_mention" or has_mention(text, me.user)
    if not mentioned and event.get("channel_type") != "im" and has_any_mention(text):
        return None  # said to somebody else
    ts, files = _get_text(event, "ts"), event.get("files")
    home = _get_text(event, "user_team") or _get_text(event, "source_team") or _get_text(body, "team_id") or me.team
    message = QuestionMessage(
        key=_read_key(body, event, ts),
        thread_ts=_get_text(event, "thread_ts") or ts,
        user=user,
        text=text,
        is_direct=direct,
        files=len(files) if isinstance(files, list) else 0,
    )
    return MessageReceived(
        message,
        is_addressed=mentioned or direct,
        is_from_other_company=home != me.team,
        shared=bool(body.get("is_ext_shared_channel")),
    )


_READERS: dict[str, Callable[[Payload, Payload, BotUser], SlackEvent | None]] = {
    "app_mention": _read_new_message,
    "message": _read_message,
    "agent_session_stopped": _read_stop,
    "app_home_opened": _read_home_opened,
    "app_uninstalled": _read_removal,
    "tokens_revoked": _read_removal,
}


def _read_key(body: Payload, event: Payload, ts: str) -> QuestionKey:
    return QuestionKey(_get_text(body, "team_id") or _get_text(event, "team"), _get_text(event, "channel"), ts)


def _get_text(payload: Payload, name: str) -> str:
    value = payload.get(name)
    return value if isinstance(value, str) else ""


def _get_object(payload: Payload, name: str) -> Payload:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def has_mention(text: str, user: str) -> bool:
    """Return whether a text as Slack sends it mentions this user."""
    return any(found[1] == user for found in _USER.finditer(text))


def has_any_mention(text: str) -> bool:
    """Return whether a text mentions any user at all."""
    return _USER.search(text) is not None


def find_mentioned_users(text: str) -> frozenset[str]:
    """Return the ids of all users that a text mentions."""
    return frozenset(found[1] for found in _USER.finditer(text))


def make_readable(text: str, names: Mapping[str, str], *, me: str = "") -> str:
    """Return what a person reads where Slack sends control sequences; the mention of ``me`` is left out."""

    def user(found: re.Match[str]) -> str:
        return "" if found[1] == me else f"@{names.get(found[1]) or found[2] or 'someone'}"

    text = _USER.sub(user, text)
    text = _LINK.sub(_render_link, text)
    text = _CHANNEL.sub(lambda found: f"#{found[2] or 'a channel'}", text)
    text = _SPECIAL.sub(lambda found: found[2] or (f"@{found[1]}" if found[1] else ""), text)
    return re.sub(r"[ \t]{2,}", " ", html.unescape(text)).strip()


def _render_link(found: re.Match[str]) -> str:
    """Return a link with its label; where Slack made it of what a person typed, what they typed.

    Slack makes a link of every word that ends like a domain (README.md, socket.io). Only with a path or ``www.`` was it
    meant as an address.
    """
    url, label = found[1], found[2] or found[1]
    if label == url:
        return url
    typed = url.removeprefix("mailto:").removeprefix("http://").rstrip("/")
    if typed.casefold() != label.removeprefix("http://").rstrip("/").casefold():
        return f"{label} ({url})"
    return url if "/" in label or label.lower().startswith("www.") else label
