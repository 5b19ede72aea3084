"""Decide by RFC 9111 how a cached response may be used; hishel implements the rules. Pure.

hishel reads the system clock and ignores ``Age``. So each response is passed to it with dates that express its age by
Kvasir's clock. A response without a lifetime gets one from Kvasir. The cache is a shared one, because everybody's
questions are answered from it.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Final

from hishel import (
    CacheMiss,
    CacheOptions,
    Entry,
    FromCache,
    Headers,
    IdleClient,
    NeedRevalidation,
    NeedToBeUpdated,
    Request,
    Response,
    StoreAndUse,
)

from knowledge.dates import parse_http_date

CACHING_HEADERS: Final = frozenset({"age", "cache-control", "date", "etag", "expires", "last-modified", "vary"})

_OPTIONS = CacheOptions(shared=True, supported_methods=["GET"], allow_stale=False)
_STALE_TOO = CacheOptions(shared=True, supported_methods=["GET"], allow_stale=True)
_SHORTEST_S, _LONGEST_S = 600.0, 86_400.0
"""Bounds of the lifetime of a response that states none: a tenth of the page's age when it was sent."""
_SHARE = 0.1
_STALE_S = 7 * 86_400.0
"""How long after its lifetime a response may be served if the site fails, unless it states this itself."""
_DIRECTIVE = re.compile(r'([\w-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,]*)))?')
_LIFETIMES = ("s-maxage", "max-age")
_ORIGIN_ONLY = frozenset({"proxy-revalidate", "s-maxage"})
"""With these, only the origin may confirm a stale response (RFC 9111, 5.2.2), unless it has ``stale-if-error``."""
_MAX_DIGITS = 9
_OLDEST_S = 100 * 365 * 86_400.0
"""Older than any lifetime that hishel reads."""


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A response to a GET, either a page or a redirect."""

    url: str
    status: int
    headers: Mapping[str, str]
    request_headers: Mapping[str, str]
    """The headers by name in lower case; ``Vary`` refers to them."""
    received_at: float
    """When it was received or last revalidated, in seconds since the epoch."""
    redirect_url: str | None = None


def is_cacheable(response: CachedResponse) -> bool:
    """Return whether a response may be stored."""
    miss = CacheMiss(options=_OPTIONS, request=_build_request(response.url, response.request_headers))
    return isinstance(miss.next(Response(response.status, Headers(dict(response.headers)))), StoreAndUse)


def is_fresh(response: CachedResponse, request_headers: Mapping[str, str], now: float) -> bool:
    """Return whether a response may be used for a request without asking the site."""
    return isinstance(_next_state(response, request_headers, now), FromCache)


def build_revalidation_headers(
    response: CachedResponse, request_headers: Mapping[str, str], now: float
) -> dict[str, str]:
    """Return the headers of a conditional request; empty if the response has no validator."""
    state = _next_state(response, request_headers, now)
    sent = state.request.headers if isinstance(state, NeedRevalidation) else {}
    return {name: value for name, value in sent.items() if name in {"if-none-match", "if-modified-since"}}


def apply_not_modified(
    response: CachedResponse, not_modified_headers: Mapping[str, str], request_headers: Mapping[str, str], now: float
) -> CachedResponse | None:
    """Return the response revalidated by a 304 with these headers, None if the 304 belongs to another response."""
    headers = {name: value for name, value in response.headers.items() if name not in {"age", "date"}}
    request = _build_request(response.url, request_headers)
    entry = Entry(uuid.UUID(int=0), request, Response(response.status, Headers(headers)))
    revalidation = NeedRevalidation(_OPTIONS, request=request, original_request=request, revalidating_entries=[entry])
    state = revalidation.next(Response(304, Headers(dict(not_modified_headers))))
    if not isinstance(state, NeedToBeUpdated):
        return None
    return replace(
        response,
        headers=dict(state.updating_entries[0].response.headers),
        request_headers=request_headers,
        received_at=now,
    )


def may_serve_stale(response: CachedResponse, request_headers: Mapping[str, str], now: float) -> bool:
    """Return whether a stale response may be served because the site fails (RFC 5861, RFC 9111 4.2.4)."""
    directives = _parse_directives(response)
    explicit_s = _parse_seconds(directives.get("stale-if-error"))
    if explicit_s is None and not _ORIGIN_ONLY.isdisjoint(directives):
        return False
    allowed_s = _STALE_S if explicit_s is None else explicit_s
    in_time = 0 <= now - response.received_at <= allowed_s or is_fresh(response, request_headers, now - allowed_s)
    return in_time and isinstance(_next_state(response, request_headers, now, _STALE_TOO), FromCache)


def _next_state(
    response: CachedResponse, request_headers: Mapping[str, str], now: float, options: CacheOptions = _OPTIONS
) -> object:
    entry = Entry(
        uuid.UUID(int=0),
        _build_request(response.url, response.request_headers),
        Response(response.status, Headers(_adjust_headers(response, now))),
    )
    return IdleClient(options=options).next(_build_request(response.url, request_headers), [entry])


def _build_request(url: str, request_headers: Mapping[str, str]) -> Request:
    return Request("GET", url, Headers(dict(request_headers)))


def _adjust_headers(response: CachedResponse, now: float) -> dict[str, str]:
    """Return a response's headers with dates that express, by the system clock, its age by Kvasir's clock."""
    headers = dict(response.headers)
    sent = _parse_http_date(headers.get("date"), response.received_at)
    date = time.time() - _compute_age_s(response, sent, now)
    headers["date"] = formatdate(date, usegmt=True)
    if "expires" in headers:
        expires = _parse_http_date(headers["expires"], sent)  # a malformed date means that it has expired
        headers["expires"] = formatdate(date + min(max(expires - sent, 0.0), _OLDEST_S), usegmt=True)
    elif _LIFETIMES[0] not in (directives := _parse_directives(response)) and _LIFETIMES[1] not in directives:
        changed = _parse_http_date(headers.get("last-modified"), sent)
        lifetime_s = min(max(_SHARE * (sent - changed), _SHORTEST_S), _LONGEST_S)
        headers["cache-control"] = ", ".join(filter(None, [headers.get("cache-control"), f"max-age={lifetime_s:.0f}"]))
    return headers


def _compute_age_s(response: CachedResponse, sent: float, now: float) -> float:
    """Return the age of a response (RFC 9111, 4.2.3); very old if the clock was set back."""
    if now < response.received_at:
        return _OLDEST_S
    at_arrival_s = max(response.received_at - sent, _parse_seconds(response.headers.get("age")) or 0.0, 0.0)
    return min(at_arrival_s + now - response.received_at, _OLDEST_S)


def _parse_directives(response: CachedResponse) -> dict[str, str]:
    header = response.headers.get("cache-control", "")
    return {match[1].lower(): match[2] or match[3] or "" for match in _DIRECTIVE.finditer(header)}


def _parse_seconds(text: str | None) -> float | None:
    text = (text or "").strip()
    return float(text[:_MAX_DIGITS]) if text.isascii() and text.isdigit() else None


def _parse_http_date(text: str | None, default: float) -> float:
    """Return an HTTP date in seconds since the epoch."""
    date = parse_http_date(text)
    return default if date is None else date.timestamp()
