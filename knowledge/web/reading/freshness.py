"""What RFC 9111 allows to be done with a response that was kept. Pure; hishel knows the rules.

It asks the machine's clock and knows no ``Age`` header, so it is told each response with dates that say how old it is
by ours. Where a response says nothing of how long it may be used, the lifetime is ours too. Kvasir's cache is a shared
one: what it holds, anybody who asks may be answered from.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
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

CACHING_HEADERS: Final = frozenset({"age", "cache-control", "date", "etag", "expires", "last-modified", "vary"})
"""The headers of a response that matter here."""

_OPTIONS = CacheOptions(shared=True, supported_methods=["GET"], allow_stale=False)
_STALE_TOO = CacheOptions(shared=True, supported_methods=["GET"], allow_stale=True)
_SHORTEST_S, _LONGEST_S = 600.0, 86_400.0
"""How long a response is fresh that does not say it: a tenth of its age when it was sent, within these bounds."""
_SHARE = 0.1
_STALE_S = 7 * 86_400.0
"""How long after its lifetime a response may still stand in where the site fails, unless it says it itself."""
_DIRECTIVE = re.compile(r'([\w-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,]*)))?')
_LIFETIMES = ("s-maxage", "max-age")
_ORIGIN_ALONE = frozenset({"proxy-revalidate", "s-maxage"})
"""What is stale is then the origin's alone to confirm (RFC 9111, 5.2.2), but for an explicit ``stale-if-error``."""
_MOST_DIGITS = 9
_OLDEST_S = 100 * 365 * 86_400.0
"""Older than any lifetime that hishel reads."""


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A response to a GET, as it came: a page or a redirect."""

    url: str
    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    asked: Mapping[str, str]
    """The request's headers, by name in lower case: what ``Vary`` speaks of."""
    received_at: float
    """Seconds since the epoch; when it was last found to be as it was."""
    to: str | None = None
    """Where a redirect leads to, None for a page."""


def is_cacheable(answer: CachedResponse) -> bool:
    """Say whether a response may be stored at all."""
    miss = CacheMiss(options=_OPTIONS, request=_build_request(answer.url, answer.asked))
    return isinstance(miss.next(Response(answer.status, Headers(dict(answer.headers)))), StoreAndUse)


def is_fresh(answer: CachedResponse, asked: Mapping[str, str], now: float) -> bool:
    """Say whether a response may be used for such a request without asking the site."""
    return isinstance(_next_state(answer, asked, now), FromCache)


def build_revalidation_headers(answer: CachedResponse, asked: Mapping[str, str], now: float) -> dict[str, str]:
    """Return the headers that ask for something only if it has changed; none where nothing can tell that."""
    state = _next_state(answer, asked, now)
    sent = state.request.headers if isinstance(state, NeedRevalidation) else {}
    return {name: value for name, value in sent.items() if name in {"if-none-match", "if-modified-since"}}


def apply_not_modified(
    answer: CachedResponse, unchanged: Mapping[str, str], asked: Mapping[str, str], now: float
) -> CachedResponse | None:
    """Return a response that a 304 with these headers confirms, None where the 304 is another one's."""
    kept = {name: value for name, value in answer.headers.items() if name not in {"age", "date"}}
    request = _build_request(answer.url, asked)
    entry = Entry(uuid.UUID(int=0), request, Response(answer.status, Headers(kept)))
    asking = NeedRevalidation(_OPTIONS, request=request, original_request=request, revalidating_entries=[entry])
    state = asking.next(Response(304, Headers(dict(unchanged))))
    if not isinstance(state, NeedToBeUpdated):
        return None
    headers = dict(state.updating_entries[0].response.headers)
    return replace(answer, headers=headers, asked=asked, received_at=now)


def may_serve_stale(answer: CachedResponse, asked: Mapping[str, str], now: float) -> bool:
    """Say whether a response may be shown, marked as old, because the site fails (RFC 5861, RFC 9111 4.2.4)."""
    told = _parse_directives(answer)
    explicit_s = _parse_seconds(told.get("stale-if-error"))
    if explicit_s is None and not _ORIGIN_ALONE.isdisjoint(told):
        return False
    allowed_s = _STALE_S if explicit_s is None else explicit_s
    in_time = 0 <= now - answer.received_at <= allowed_s or is_fresh(answer, asked, now - allowed_s)
    return in_time and isinstance(_next_state(answer, asked, now, _STALE_TOO), FromCache)


def _next_state(
    answer: CachedResponse, asked: Mapping[str, str], now: float, options: CacheOptions = _OPTIONS
) -> object:
    kept = Entry(
        uuid.UUID(int=0),
        _build_request(answer.url, answer.asked),
        Response(answer.status, Headers(_adjust_headers(answer, now))),
    )
    return IdleClient(options=options).next(_build_request(answer.url, asked), [kept])


def _build_request(url: str, asked: Mapping[str, str]) -> Request:
    return Request("GET", url, Headers(dict(asked)))


def _adjust_headers(answer: CachedResponse, now: float) -> dict[str, str]:
    """Return a response's headers with dates that say by the machine's clock how old it is by ours."""
    headers = dict(answer.headers)
    sent = _parse_http_date(headers.get("date"), answer.received_at)
    date = time.time() - _compute_age_s(answer, sent, now)
    headers["date"] = formatdate(date, usegmt=True)
    if "expires" in headers:
        expires = _parse_http_date(headers["expires"], sent)  # what is no date has expired
        headers["expires"] = formatdate(date + min(max(expires - sent, 0.0), _OLDEST_S), usegmt=True)
    elif _LIFETIMES[0] not in (told := _parse_directives(answer)) and _LIFETIMES[1] not in told:
        changed = _parse_http_date(headers.get("last-modified"), sent)
        lifetime_s = min(max(_SHARE * (sent - changed), _SHORTEST_S), _LONGEST_S)
        headers["cache-control"] = ", ".join(filter(None, [headers.get("cache-control"), f"max-age={lifetime_s:.0f}"]))
    return headers


def _compute_age_s(answer: CachedResponse, sent: float, now: float) -> float:
    """Return how old a response is (RFC 9111, 4.2.3); very old where the clock was set back."""
    if now < answer.received_at:
        return _OLDEST_S
    at_arrival_s = max(answer.received_at - sent, _parse_seconds(answer.headers.get("age")) or 0.0, 0.0)
    return min(at_arrival_s + now - answer.received_at, _OLDEST_S)


def _parse_directives(answer: CachedResponse) -> dict[str, str]:
    told = answer.headers.get("cache-control", "")
    return {found[1].lower(): found[2] or found[3] or "" for found in _DIRECTIVE.finditer(told)}


def _parse_seconds(text: str | None) -> float | None:
    text = (text or "").strip()
    return float(text[:_MOST_DIGITS]) if text.isascii() and text.isdigit() else None


def _parse_http_date(text: str | None, otherwise: float) -> float:
    """Return a date of HTTP's as seconds since the epoch."""
    try:
        date = parsedate_to_datetime(text) if text else None
        return otherwise if date is None else date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError, TypeError):
        return otherwise
