"""The ``Retry-After`` header. Pure."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

_MAX_WAIT_S = 1e9


def parse_retry_after_s(header: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for; None if there is none, or it is malformed."""
    if header is None:
        return None
    value = header.strip()
    if value.isascii() and value.replace(".", "", 1).isdecimal():
        return min(float(value), _MAX_WAIT_S)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now, 0.0)
