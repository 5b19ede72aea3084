"""Parse the results of providers: tolerate missing fields, and trust nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from urllib.parse import urlsplit

_MAX_URL_CHARACTERS = 2_000
_MOST_SITES = 8


def parse_results(entries: object, limit: int, field: str = "url") -> list[str]:
    """Return the addresses of at most ``limit`` results; ``entries`` is unchecked JSON.

    ``field`` is the name of the address. Entries without a valid one are skipped.
    """
    urls = (get_member(entry, field) for entry in entries) if isinstance(entries, list) else ()
    return list(islice((url for url in urls if isinstance(url, str) and _is_web_address(url)), limit))


def get_member(value: object, *path: str) -> object:
    """Return the value at the end of a path through JSON objects, None if there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def add_site_operators(query: str, domains: frozenset[str]) -> str:
    """Return a query with a ``site:`` operator for each domain, or unchanged if there are many domains.

    Callers filter the results in any case.
    """
    if not domains or len(domains) > _MOST_SITES:
        return query
    sites = [f"site:{domain}" for domain in sorted(domains)]
    return f"{query} {sites[0]}" if len(sites) == 1 else f"{query} ({' OR '.join(sites)})"


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return len(url) <= _MAX_URL_CHARACTERS and parts.scheme in {"http", "https"} and bool(parts.hostname)
