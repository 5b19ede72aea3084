"""RSS, Atom and JSON Feed: bytes to entries; pure, and nothing is fetched."""

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

_MOST_ENTRIES = 5_000
_LONGEST_ID = 180
_ASIDE = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_ELEMENT = re.compile(rb"<[A-Za-z_:]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a feed."""

    id: str
    """As the document is called: the entry's own id, without a scheme, or a part of it with a hash."""
    title: str
    link: str | None
    published_at: datetime | None
    """When it was last changed, else when it was published; aware, UTC."""
    html: str = field(repr=False)
    """Its content, or its summary where it has no more."""

    @property
    def version(self) -> str:
        """Return what changes when the entry does."""
        told = "\0".join((self.title, self.link or "", self.html))
        return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:32]


def read_feed(data: bytes, content_type: str, url: str) -> list[Entry] | None:
    """Return a feed's entries, the first of those with one id; None for what is no feed.

    Raises:
        ParseError: it declares entities, by which a few bytes become gigabytes; no feed needs any.

    """
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    entries = _json_entries(data) if start.startswith(b"{") else _xml_entries(data, content_type, url)
    if entries is None:
        return None
    found: dict[str, Entry] = {}
    for entry in map(_whole, entries):
        found.setdefault(entry.id, entry)
        if len(found) >= _MOST_ENTRIES:
            break
    return list(found.values())


def _whole(entry: Entry) -> Entry:
    """Replace half characters, which JSON can hold and no database takes."""
    title, text = (told.encode("utf-8", "replace").decode() for told in (entry.title, entry.html))
    link = entry.link.encode("utf-8", "replace").decode() if entry.link is not None else None
    return replace(entry, title=title, html=text, link=link)


def _xml_entries(data: bytes, content_type: str, url: str) -> Iterator[Entry] | None:
    if _declares_entities(data):
        raise ParseError(f"{url} declares XML entities, which no feed needs and which can blow up a reader.")
    headers = {"content-type": content_type or "application/xml", "content-location": url}
    feed = feedparser.parse(io.BytesIO(data), response_headers=headers)
    if not feed.get("version"):
        return None
    return (_from_xml(entry) for entry in feed.entries)


def _declares_entities(data: bytes) -> bool:
    """Tell whether what comes before the first element declares an entity, whatever the letters' width is."""
    aside = _ASIDE.sub(b"", data.replace(b"\0", b""))
    first = _ELEMENT.search(aside)
    return b"<!entity" in (aside[: first.start()] if first else aside).lower()


def _from_xml(entry: Mapping[str, Any]) -> Entry:
    contents = [held for held in entry.get("content") or [] if held.get("value")]
    best = max(contents, key=lambda held: "html" in (held.get("type") or ""), default=None)
    told = best or entry.get("summary_detail") or {}
    text = told.get("value") or entry.get("summary") or ""
    plain = (told.get("type") or "text/html") == "text/plain"
    title = _one_line(entry.get("title") or "")
    link = _link(entry.get("link"))
    date = entry["updated_parsed"] if "updated_parsed" in entry.keys() else entry.get("published_parsed")  # noqa: SIM118 - its own "in" says yes to either
    return Entry(
        id=_name(entry.get("id") or link or title or text),
        title=title,
        link=link,
        published_at=datetime.fromtimestamp(calendar.timegm(date), UTC) if date else None,
        html=f"<p>{html.escape(text)}</p>" if plain else text,
    )


def _json_entries(data: bytes) -> Iterator[Entry] | None:
    try:
        feed = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(feed, dict) or not str(feed.get("version", "")).startswith("https://jsonfeed.org/version/"):
        return None
    items = feed.get("items")
    return (_from_json(item) for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())


def _from_json(item: Mapping[str, Any]) -> Entry:
    told = {key: value for key, value in item.items() if isinstance(value, (str, int)) and value != ""}
    plain = str(told.get("content_text") or told.get("summary") or "")
    content = str(told.get("content_html") or f"<p>{html.escape(plain)}</p>")
    title = _one_line(str(told.get("title", "")))
    link = _link(told.get("url") or told.get("external_url"))
    return Entry(
        id=_name(str(told.get("id") or link or title or content)),
        title=title,
        link=link,
        published_at=parse_iso_date(str(told.get("date_modified", "")))
        or parse_iso_date(str(told.get("date_published", ""))),
        html=content,
    )


def _name(told: str) -> str:
    name = " ".join(told.split()).removeprefix("https://").removeprefix("http://").strip("/")
    if name.isprintable() and 0 < len(name) <= _LONGEST_ID:
        return name
    digest = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]
    return "".join(letter for letter in name[:80] if letter.isprintable()) + f"~{digest}"


def _link(told: object) -> str | None:
    return told if isinstance(told, str) and told.lower().startswith(("http://", "https://")) else None


def _one_line(text: str) -> str:
    return " ".join(html.unescape(text).split())[:300]
