"""Formats a thread of a public channel as a document: who wrote what, in readable text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.answering.markdown.link_policy import strip_invisible_characters
from bot.answering.quoting import neutralise_name
from bot.slack.conversations.history.channel_events import is_content
from bot.slack.wire.events import BotUser, find_mentioned_users, make_readable

_MAX_TITLE_CHARACTERS = 80
FORMAT_VERSION = "2"
"""A new one makes the next sync read every thread again."""
_CONTINUED = "↳ "
"""Begins each line of a message but the first."""
_SPEAKER_LIKE = re.compile(r"(\d{4}-\d{2}-\d{2})\s*[:：]")
"""How Kvasir writes who speaks; in somebody's own words it loses its colon."""

Message = Mapping[str, Any]


def select_content(messages: Iterable[Message], me: BotUser, *, bots: bool) -> list[Message]:
    """Return the messages that belong in the document, oldest first."""
    content = [message for message in messages if is_content(message, me, bots=bots)]
    return sorted(content, key=lambda message: float(message.get("ts") or 0))


def find_people(messages: Iterable[Message]) -> frozenset[str]:
    """Return the ids of all authors and of all users that are mentioned."""
    people: set[str] = set()
    for message in messages:
        people |= {str(message["user"])} if message.get("user") else set()
        people |= find_mentioned_users(str(message.get("text") or ""))
    return frozenset(people)


def format_text(messages: Sequence[Message], names: Mapping[str, str]) -> str:
    """Return the document's text: a paragraph for each message, with its author and day before it."""
    return "\n\n".join(_format_message(message, names) for message in messages)


def format_title(messages: Sequence[Message], names: Mapping[str, str], channel: str) -> str:
    """Return the thread's first words and its channel."""
    first = next((words for message in messages if (words := _get_words(message, names))), "")
    line = " ".join(first.split())
    title = (
        line if len(line) <= _MAX_TITLE_CHARACTERS else line[:_MAX_TITLE_CHARACTERS].rsplit(" ", 1)[0].rstrip() + "…"
    )
    return f"{title} (#{channel})" if title else f"#{channel}"


def _format_message(message: Message, names: Mapping[str, str]) -> str:
    who = names.get(str(message.get("user") or "")) or neutralise_name(str(message.get("username") or "")) or "Someone"
    when = datetime.fromtimestamp(float(message.get("ts") or 0), UTC)
    # Each message is one paragraph: a blank line inside would separate words from their author. Later lines are
    # indented by a mark, so none looks like the beginning of somebody else's message.
    words = f"\n{_CONTINUED}".join(filter(str.strip, _get_words(message, names).splitlines()))
    words = _SPEAKER_LIKE.sub(r"\1 –", strip_invisible_characters(words))
    return f"{who}, {when:%Y-%m-%d}: {words}"


def _get_words(message: Message, names: Mapping[str, str]) -> str:
    said = make_readable(str(message.get("text") or ""), names)
    files = [str(file.get("title") or file.get("name") or "") for file in message.get("files") or () if file]
    attached = ", ".join(name for name in files if name)
    return "\n".join(part for part in (said, f"[{attached}]" if attached else "") if part)
