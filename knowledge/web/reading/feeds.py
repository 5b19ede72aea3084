"""Parse RSS, Atom and JSON Feed. Pure."""

from __future__ import annotations

import calendar
import hashlib
import html
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import feedparser

from knowledge.dates import parse_iso_date
from knowledge.errors import ParseError

_MAX_ENTRIES = 5_000
_MAX_ID_CHARACTERS = 180
_PROLOG_PART = re.compile(rb"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!entity|<[a-z_:]", re.DOTALL | re.IGNORECASE)
"""A comment, an instruction, the declaration of an entity, or the beginning of the first element."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry of a feed."""

    id: str
    """The document's id: the entry's own id without a scheme, or a part of it with a hash."""
    title: str
    link: str | None
    published_at: datetime | None
    """When it was last changed, else when it was published; in UTC."""
    html: str = field(repr=False)
    """Its content, or its summary if it has no content."""

    @property
    def version(self) -> str:
        """Return a hash that changes when the entry does."""
        text = "\0".join((self.title, self.link or "", self.html))
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def read_feed(data: bytes, content_type: str, url: str) -> list[FeedEntry] | None:
    """Return a feed's entries, each id once; None if it is not a feed.

    Raises:
        ParseError: it declares XML entities, which can expand a few bytes to gigabytes.

    """
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    entries = _read_json_entries(data) if start.startswith(b"{") else _read_xml_entries(data, content_type, url)
    if entries is None:
        return None
    by_id: dict[str, FeedEntry] = {}
    for entry in map(_replace_surrogates, entries):
        by_id.setdefault(entry.id, entry)
        if len(by_id) >= _MAX_ENTRIES:
            break
    return list(by_id.values())


def _replace_surrogates(entry: FeedEntry) -> FeedEntry:
    """Replace lone surrogates, which JSON allows and databases reject."""
    title, text = (part.encode("utf-8", "replace").decode() for part in (entry.title, entry.html))
    link = entry.link.encode("utf-8", "replace").decode() if entry.link is not None else None
    return replace(entry, title=title, html=text, link=link)


def _read_xml_entries(data: bytes, content_type: str, url: str) -> Iterator[FeedEntry] | None:
    if _declares_entities(data):
        raise ParseError(f"{url} declares XML entities. No feed needs them, and they can exhaust a parser's memory.")
    headers = {"content-type": content_type or "application/xml", "content-location": url}
    feed = feedparser.parse(io.BytesIO(data), response_headers=headers)
    if not feed.get("version"):
        return None
    return (_build_xml_entry(entry) for entry in feed.entries)


def _declares_entities(data: bytes) -> bool:
    """Return whether the text before the first element declares an entity, in UTF-8, UTF-16 or UTF-32."""
    for found in _PROLOG_PART.finditer(data.replace(b"\0", b"")):
        part = found[0].lower()
        if not part.startswith((b"<!--", b"<?")):
            return part == b"<!entity"
        if not part.endswith(b"-->" if part.startswith(b"<!--") else b"?>"):
            return b"<!entity" in part
    return False


def _build_xml_entry(entry: Mapping[str, Any]) -> FeedEntry:
    contents = [content for content in entry.get("content") or [] if content.get("value")]
    best = max(contents, key=lambda content: "html" in (content.get("type") or ""), default=None)
    detail = best or entry.get("summary_detail") or {}
    text = detail.get("value") or entry.get("summary") or ""
    is_plain = (detail.get("type") or "text/html") == "text/plain"
    title = _join_words(entry.get("title") or "")
    link = _accept_link(entry.get("link"))
    date = entry["updated_parsed"] if "updated_parsed" in entry.keys() else entry.get("published_parsed")  # noqa: SIM118 - feedparser's own "in" is true for either date
    return FeedEntry(
        id=_build_id(entry.get("id") or link or title or text),
        title=title,
        link=link,
        published_at=datetime.fromtimestamp(calendar.timegm(date), UTC) if date else None,
        html=f"<p>{html.escape(text)}</p>" if is_plain else text,
    )


def _read_json_entries(data: bytes) -> Iterator[FeedEntry] | None:
    try:
        feed = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(feed, dict) or not str(feed.get("version", "")).startswith("https://jsonfeed.org/version/"):
        return None
    items = feed.get("items")
    return (
        (_build_json_entry(item) for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())
    )


def _build_json_entry(item: Mapping[str, Any]) -> FeedEntry:
    fields = {key: value for key, value in item.items() if isinstance(value, (str, int)) and value != ""}
    plain = str(fields.get("content_text") or fields.get("summary") or "")
    content = str(fields.get("content_html") or f"<p>{html.escape(plain)}</p>")
    title = _join_words(str(fields.get("title", "")))
    link = _accept_link(fields.get("url") or fields.get("external_url"))
    return FeedEntry(
        id=_build_id(str(fields.get("id") or link or title or content)),
        title=title,
        link=link,
        published_at=parse_iso_date(str(fields.get("date_modified", "")))
        or parse_iso_date(str(fields.get("date_published", ""))),
        html=content,
    )


def _build_id(text: str) -> str:
    name = " ".join(text.split()).removeprefix("https://").removeprefix("http://").strip("/")
    if name.isprintable() and 0 < len(name) <= _MAX_ID_CHARACTERS:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    return "".join(letter for letter in name[:80] if letter.isprintable()) + f"~{digest}"


def _accept_link(link: object) -> str | None:
    return link if isinstance(link, str) and link.lower().startswith(("http://", "https://")) else None


def _join_words(text: str) -> str:
    return " ".join(html.unescape(text).split())[:300]
