"""Parse the results of providers: tolerate missing fields, and trust nothing. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from urllib.parse import urlsplit

from knowledge.web.searching.provider import SearchHit
from knowledge.web.searching.published_dates import parse_published_date

_MAX_URL_CHARACTERS = 2_000
_TITLE_CHARACTERS = 300
_SNIPPET_CHARACTERS = 1_000
_MOST_SITES = 8
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")


@dataclass(frozen=True, slots=True)
class ResultFields:
    """The names of a result's fields in a provider's JSON."""

    url: str = "url"
    title: str = "title"
    snippet: str = "snippet"
    published_fields: tuple[str, ...] = ()
    """The first one with a valid date is used."""


def parse_results(entries: object, fields: ResultFields, limit: int, now: datetime) -> list[SearchHit]:
    """Return at most ``limit`` hits; ``entries`` is unchecked JSON, and entries without an address are skipped."""
    hits = (_parse_hit(entry, fields, now) for entry in entries) if isinstance(entries, list) else ()
    return list(islice((hit for hit in hits if hit is not None), limit))


def get_member(value: object, *path: str) -> object:
    """Return the value at the end of a path through JSON objects, None if there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def strip_markup(text: object, longest: int) -> str:
    """Return a text without markup, control and invisible characters."""
    if not isinstance(text, str):
        return ""
    words = _INVISIBLE.sub(" ", html.unescape(_TAG.sub("", text[: 4 * longest]))).split()
    return " ".join(words)[:longest]


def add_site_operators(query: str, domains: frozenset[str]) -> str:
    """Return a query with a ``site:`` operator for each domain, or unchanged if there are many domains.

    Callers filter the hits in any case.
    """
    if not domains or len(domains) > _MOST_SITES:
        return query
    sites = [f"site:{domain}" for domain in sorted(domains)]
    return f"{query} {sites[0]}" if len(sites) == 1 else f"{query} ({' OR '.join(sites)})"


def _parse_hit(entry: object, fields: ResultFields, now: datetime) -> SearchHit | None:
    url = get_member(entry, fields.url)
    if not isinstance(url, str) or not _is_web_address(url):
        return None
    dates: Iterator[datetime | None] = (
        parse_published_date(get_member(entry, name), now) for name in fields.published_fields
    )
    return SearchHit(
        url=url,
        title=strip_markup(get_member(entry, fields.title), _TITLE_CHARACTERS),
        snippet=strip_markup(get_member(entry, fields.snippet), _SNIPPET_CHARACTERS),
        published=next((date for date in dates if date is not None), None),
    )


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return len(url) <= _MAX_URL_CHARACTERS and parts.scheme in {"http", "https"} and bool(parts.hostname)
