"""What Slack sends → what it means for the bot. Pure: payloads in, small values out, nothing else known."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.storage.questions import Asked, Key

Payload = Mapping[str, Any]

_OURS_TO_ANSWER = {"", "file_share", "thread_broadcast", "me_message"}
"""Subtypes of a message that a person wrote as such; everything else is news about the channel."""
_USER = re.compile(r"<@([A-Z0-9]+)(?:\|([^>]*))?>")
_LINK = re.compile(r"<(https?://[^|>]+|mailto:[^|>]+)(?:\|([^>]*))?>")
_CHANNEL = re.compile(r"<#([A-Z0-9]+)(?:\|([^>]*))?>")
_SPECIAL = re.compile(r"<!(?:subteam\^[A-Z0-9]+|([a-z]+)|[^|>]*)(?:\|([^>]*))?>")


@dataclass(frozen=True, slots=True)
class Me:
    """Who the bot is in this workspace."""

    team: str
    user: str
    bot: str


@dataclass(frozen=True, slots=True)
class Said:
    """A person said something that may be for the bot."""

    asked: Asked
    addressed: bool
    """Mentioned, or in a direct message; else it counts only in a thread that the bot takes part in."""
    stranger: bool
    """Whether the person belongs to another company's workspace."""
    shared: bool
    """Whether the channel is shared with another company."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A person changed what they had said."""

    said: Said
    newly_addressed: bool
    """Whether the mention of the bot came with this edit."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message is gone."""

    key: Key


@dataclass(frozen=True, slots=True)
class Stopped:
    """A person pressed Stop in a thread."""

    channel: str
    thread_ts: str


@dataclass(frozen=True, slots=True)
class HomeOpened:
    """A person opened the app's home."""

    user: str


@dataclass(frozen=True, slots=True)
class Removed:
    """The app was uninstalled, or its tokens were revoked."""


Incoming = Said | Edited | Deleted | Stopped | HomeOpened | Removed


def parse(body: Payload, me: Me) -> Incoming | None:
    """Return what an event means, or None where it is not for the bot."""
    event = body.get("event")
    if not isinstance(event, dict):
        return None
    kind = event.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    return reader(body, event, me) if reader is not None else None


def _message(body: Payload, event: Payload, me: Me) -> Incoming | None:
    match event.get("subtype"):
        case "message_deleted":
            return Deleted(_key(body, event, _text(event, "deleted_ts")))
        case "message_changed":
            return _edited(body, event, me)
        case _:
            return _said(body, event, me)


def _stopped(_body: Payload, event: Payload, _me: Me) -> Stopped:
    return Stopped(_text(event, "channel"), _text(event, "thread_ts") or _text(event, "event_ts"))


def _home(_body: Payload, event: Payload, _me: Me) -> HomeOpened | None:
    user = _text(event, "user")
    return HomeOpened(user) if event.get("tab") == "home" and user else None


def _removed(_body: Payload, event: Payload, _me: Me) -> Removed | None:
    return Removed() if event.get("type") == "app_uninstalled" or _object(event, "tokens").get("bot") else None


def _edited(body: Payload, event: Payload, me: Me) -> Incoming | None:
    message, before = _object(event, "message"), _object(event, "previous_message")
    if message.get("subtype") == "tombstone":
        return Deleted(_key(body, event, _text(message, "ts")))
    if message.get("text") == before.get("text"):
        return None  # a link was unfolded, a reply was counted, a stream went on
    said = _said(body, {**message, "channel": event.get("channel"), "channel_type": event.get("channel_type")}, me)
    if said is None:
        return None
    return Edited(said, newly_addressed=said.addressed and not mentions(_text(before, "text"), me.user))


def _said(body: Payload, event: Payload, me: Me) -> Said | None:
    user, text = _text(event, "user"), _text(event, "text")
    if _text(event, "subtype") not in _OURS_TO_ANSWER or user in {"", me.user, "USLACKBOT"} or event.get("bot_id"):
        return None
    direct = _text(event, "channel_type") in {"im", "mpim"}
    mentioned = event.get("type") == "app_mention" or mentions(text, me.user)
    if not mentioned and event.get("channel_type") != "im" and mentions_anybody(text):
        return None  # said to somebody else
    ts, files = _text(event, "ts"), event.get("files")
    home = _text(event, "user_team") or _text(event, "source_team") or _text(body, "team_id") or me.team
    asked = Asked(
        key=_key(body, event, ts),
        thread_ts=_text(event, "thread_ts") or ts,
        user=user,
        text=text,
        direct=direct,
        files=len(files) if isinstance(files, list) else 0,
    )
    return Said(
        asked,
        addressed=mentioned or direct,
        stranger=home != me.team,
        shared=bool(body.get("is_ext_shared_channel")),
    )


_READERS: dict[str, Callable[[Payload, Payload, Me], Incoming | None]] = {
    "app_mention": _said,
    "message": _message,
    "agent_session_stopped": _stopped,
    "app_home_opened": _home,
    "app_uninstalled": _removed,
    "tokens_revoked": _removed,
}


def _key(body: Payload, event: Payload, ts: str) -> Key:
    return Key(_text(body, "team_id") or _text(event, "team"), _text(event, "channel"), ts)


def _text(payload: Payload, name: str) -> str:
    value = payload.get(name)
    return value if isinstance(value, str) else ""


def _object(payload: Payload, name: str) -> Payload:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def mentions(text: str, user: str) -> bool:
    """Tell whether a text as Slack sends it mentions this user."""
    return any(found[1] == user for found in _USER.finditer(text))


def mentions_anybody(text: str) -> bool:
    """Tell whether a text mentions any user at all."""
    return _USER.search(text) is not None


def mentioned_users(text: str) -> frozenset[str]:
    """Return the ids of all users that a text mentions."""
    return frozenset(found[1] for found in _USER.finditer(text))


def readable(text: str, names: Mapping[str, str], *, me: str = "") -> str:
    """Return what a person reads where Slack sends control sequences; the mention of ``me`` is left out."""

    def user(found: re.Match[str]) -> str:
        return "" if found[1] == me else f"@{names.get(found[1]) or found[2] or 'someone'}"

    text = _USER.sub(user, text)
    text = _LINK.sub(_link, text)
    text = _CHANNEL.sub(lambda found: f"#{found[2] or 'a channel'}", text)
    text = _SPECIAL.sub(lambda found: found[2] or (f"@{found[1]}" if found[1] else ""), text)
    return re.sub(r"[ \t]{2,}", " ", html.unescape(text)).strip()


def _link(found: re.Match[str]) -> str:
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
