"""Dates in machine-readable formats. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MAX_WAIT_S = 1e9


def to_utc(moment: datetime) -> datetime | None:
    """Return a moment in UTC; one without a zone counts as UTC. None for a moment outside the calendar."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        return None


def parse_iso_date(text: str) -> datetime | None:
    """Return a date in ISO 8601 or W3C form; None for any other text."""
    try:
        return to_utc(datetime.fromisoformat(text.strip()))
    except ValueError:
        return None


def parse_http_date(text: str | None) -> datetime | None:
    """Return a date as HTTP headers and e-mails write it; None for any other text."""
    try:
        return to_utc(parsedate_to_datetime(text)) if text else None
    except (ValueError, OverflowError, TypeError):
        return None


def parse_retry_after_s(header: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for; None if there is none, or it is malformed."""
    value = (header or "").strip()
    if value.isascii() and value.replace(".", "", 1).isdecimal():
        return min(float(value), _MAX_WAIT_S)
    date = parse_http_date(value)
    return None if date is None else max(date.timestamp() - now, 0.0)


def count_days(moment_s: float | None) -> int | None:
    """Return the day since the epoch of a moment in seconds, which is the precision of filters by date."""
    return None if moment_s is None else int(moment_s // 86_400)


def parse_timestamp(seconds: float) -> datetime | None:
    """Return seconds since the epoch as a date in UTC; None if they are out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
