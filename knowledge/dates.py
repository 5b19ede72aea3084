"""Dates as machines write them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_iso_date(text: str) -> datetime | None:
    """Return a date in ISO 8601 or W3C form, in UTC; None for any other text."""
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
