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

_MAX_ENTRIES = 5_000
_MAX_ID_CHARACTERS = 180
_ASIDE = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_ELEMENT = re.compile(rb"<[A-Za-z_:]")


@dataclass(frozen=True, slots=True)
class FeedEntry:
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


def read_feed(data: bytes, content_type: str, url: str) -> list[FeedEntry] | None:
    """Return a feed's entries, the first of those with one id; None for what is no feed.

    Raises:
        ParseError: it declares entities, by which a few bytes become gigabytes; no feed needs any.

    """
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    entries = _read_json_entries(data) if start.startswith(b"{") else _read_xml_entries(data, content_type, url)
    if entries is None:
        return None
    found: dict[str, FeedEntry] = {}
    for entry in map(_replace_surrogates, entries):
        found.setdefault(entry.id, entry)
        if len(found) >= _MAX_ENTRIES:
            break
    return list(found.values())


def _replace_surrogates(entry: FeedEntry) -> FeedEntry:
    """Replace half characters, which JSON can hold and no database takes."""
    title, text = (told.encode("utf-8", "replace").decode() for told in (entry.title, entry.html))
    link = entry.link.encode("utf-8", "replace").decode() if entry.link is not None else None
    return replace(entry, title=title, html=text, link=link)


def _read_xml_entries(data: bytes, content_type: str, url: str) -> Iterator[FeedEntry] | None:
    if _declares_entities(data):
        raise ParseError(f"{url} declares XML entities, which no feed needs and which can blow up a reader.")
    headers = {"content-type": content_type or "application/xml", "content-location": url}
    feed = feedparser.parse(io.BytesIO(data), response_headers=headers)
    if not feed.get("version"):
        return None
    return (_build_xml_entry(entry) for entry in feed.entries)


def _declares_entities(data: bytes) -> bool:
    """Tell whether what comes before the first element declares an entity, whatever the letters' width is."""
    aside = _ASIDE.sub(b"", data.replace(b"\0", b""))
    first = _ELEMENT.search(aside)
    return b"<!entity" in (aside[: first.start()] if first else aside).lower()


def _build_xml_entry(entry: Mapping[str, Any]) -> FeedEntry:
    contents = [held for held in entry.get("content") or [] if held.get("value")]
    best = max(contents, key=lambda held: "html" in (held.get("type") or ""), default=None)
    told = best or entry.get("summary_detail") or {}
    text = told.get("value") or entry.get("summary") or ""
    plain = (told.get("type") or "text/html") == "text/plain"
    title = _join_words(entry.get("title") or "")
    link = _accept_link(entry.get("link"))
    date = entry["updated_parsed"] if "updated_parsed" in entry.keys() else entry.get("published_parsed")  # noqa: SIM118 - its own "in" says yes to either
    return FeedEntry(
        id=_build_id(entry.get("id") or link or title or text),
        title=title,
        link=link,
        published_at=datetime.fromtimestamp(calendar.timegm(date), UTC) if date else None,
        html=f"<p>{html.escape(text)}</p>" if plain else text,
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
    told = {key: value for key, value in item.items() if isinstance(value, (str, int)) and value != ""}
    plain = str(told.get("content_text") or told.get("summary") or "")
    content = str(told.get("content_html") or f"<p>{html.escape(plain)}</p>")
    title = _join_words(str(told.get("title", "")))
    link = _accept_link(told.get("url") or told.get("external_url"))
    return FeedEntry(
        id=_build_id(str(told.get("id") or link or title or content)),
        title=title,
        link=link,
        published_at=parse_iso_date(str(told.get("date_modified", "")))
        or parse_iso_date(str(told.get("date_published", ""))),
        html=content,
    )


def _build_id(told: str) -> str:
    name = " ".join(told.split()).removeprefix("https://").removeprefix("http://").strip("/")
    if name.isprintable() and 0 < len(name) <= _MAX_ID_CHARACTERS:
        return name
    digest = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]
    return "".join(letter for letter in name[:80] if letter.isprintable()) + f"~{digest}"


def _accept_link(told: object) -> str | None:
    return told if isinstance(told, str) and told.lower().startswith(("http://", "https://")) else None


def _join_words(text: str) -> str:
    return " ".join(html.unescape(text).split())[:300]
