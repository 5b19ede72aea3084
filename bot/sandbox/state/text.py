"""Pure: encode typed text as Slack stores it: escaped, with mentions, links and a rich_text block."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bot.sandbox.state.model import Json, SlackChannel, SlackPerson, UserGroup

_SLACK_TOKENS = re.compile(
    r"<(?:@[UW][A-Z0-9]+|#C[A-Z0-9]+(?:\|[^<>]*)?|!(?:here|channel|everyone|subteam\^S[A-Z0-9]+(?:\|[^<>]*)?)|https?://[^\s<>]+)>"
)
"""Text in Slack's own form is not escaped again."""
_TYPED = re.compile(
    r"(?<![\w@])@(?P<person>[A-Z][\w.-]*)|(?P<url>https?://[^\s<>|\u3000-\u303f\uff00-\uffef]+)|(?<!\w)#(?P<channel>[a-z][\w-]*)",
    re.ASCII | re.IGNORECASE,
)
"""Names end where other scripts begin (``@Kvasir请问``), links at full-width punctuation."""
_TOKEN = re.compile(
    r"<(?P<mark>[@#!]?)(?P<body>[^<>|]+)(?:\|(?P<label>[^<>]*))?>|(?<!\w):(?P<emoji>[a-z0-9_+-]+):(?!\w)"
)


def escape_text(text: str) -> str:
    """Escape the three characters that Slack escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape_text(text: str) -> str:
    """Undo ``escape_text``."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def encode_typed_text(
    typed: str, people: Iterable[SlackPerson], channels: Iterable[SlackChannel], groups: Iterable[UserGroup] = ()
) -> str:
    """Return typed text as Slack stores it: ``@ada`` as ``<@U…>``, ``@team`` as ``<!subteam^S…>``, links as ``<https://…>``.

    Tokens in Slack's form stay, the rest is escaped.
    """
    names = {g.handle.lower(): f"!subteam^{g.id}|@{g.handle}" for g in groups if not g.disabled}
    names |= {p.name.lower(): f"@{p.id}" for p in people}
    rooms = {c.name: c.id for c in channels if c.name}
    parts = _split_text(_SLACK_TOKENS, typed)
    return "".join(_encode_names(part, names, rooms) if isinstance(part, str) else part.group() for part in parts)


def _split_text(pattern: re.Pattern[str], text: str) -> Iterator[str | re.Match[str]]:
    """Return the matches of a pattern, and the text before, between and after them."""
    at = 0
    for found in pattern.finditer(text):
        yield text[at : found.start()]
        yield found
        at = found.end()
    yield text[at:]


def _encode_names(typed: str, names: dict[str, str], rooms: dict[str, str]) -> str:
    parts = _split_text(_TYPED, typed)
    return "".join(escape_text(part) if isinstance(part, str) else _encode_token(part, names, rooms) for part in parts)


def _encode_token(found: re.Match[str], names: dict[str, str], rooms: dict[str, str]) -> str:
    person, url, channel = found["person"], found["url"], found["channel"]
    if url:
        bare = url.rstrip(".,;:!?)'\"")
        return f"<{escape_text(bare)}>{escape_text(url[len(bare) :])}"
    if person:
        plain = person.rstrip(".-")
        tail = person[len(plain) :]
        if plain in {"here", "channel", "everyone"}:
            return f"<!{plain}>{tail}"
        return f"<{names[plain.lower()]}>{tail}" if plain.lower() in names else escape_text(found.group())
    return f"<#{rooms[channel]}|{channel}>" if channel in rooms else escape_text(found.group())


def has_mention(text: str, user: str) -> bool:
    """Return whether a stored text mentions a user."""
    return f"<@{user}>" in text or f"<@{user}|" in text


def build_rich_text(text: str) -> Json:
    """Return the rich_text block that Slack adds to a person's message."""
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(_split_elements(text))}]}


def _split_elements(text: str) -> Iterator[Json]:
    for part in _split_text(_TOKEN, text):
        if not isinstance(part, str):
            yield _build_element(part)
        elif part:
            yield {"type": "text", "text": unescape_text(part)}


def _build_element(token: re.Match[str]) -> Json:
    if token["emoji"]:
        return {"type": "emoji", "name": token["emoji"]}
    mark, body = token["mark"], token["body"]
    if mark == "@":
        return {"type": "user", "user_id": body}
    if mark == "#":
        return {"type": "channel", "channel_id": body}
    if mark == "!" and body.startswith("subteam^"):
        return {"type": "usergroup", "usergroup_id": body.removeprefix("subteam^"), "text": token["label"] or body}
    if mark == "!":
        return {"type": "broadcast", "range": body}
    return {"type": "link", "url": unescape_text(body)}
