"""Parse the publication dates that search providers return. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from knowledge.dates import parse_iso_date

_SPAN_DAYS = {
    "second": 0.0, "sec": 0.0, "minute": 0.0, "min": 0.0, "hour": 1 / 24, "hr": 1 / 24,
    "day": 1.0, "week": 7.0, "month": 30.4, "year": 365.25,
    "秒": 0.0, "分": 0.0, "分钟": 0.0, "小时": 1 / 24, "天": 1.0, "日": 1.0, "周": 7.0, "星期": 7.0,
    "月": 30.4, "个月": 30.4, "年": 365.25,
}  # fmt: skip
_AGO = re.compile(
    r"(\d{1,4}|an?)\s*(second|sec|minute|min|hour|hr|day|week|month|year)s?\.?\s+ago", re.IGNORECASE | re.ASCII
)
_AGO_CHINESE = re.compile(r"(\d{1,4})\s*(秒|分钟|分|小时|天|日|周|星期|个月|月|年)\s*(?:之?前|以前)")
_CHINESE = re.compile(r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*日")
_WORDED = ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%Y/%m/%d", "%m/%d/%Y")
_NAMED_DAYS = {"today": 0, "just now": 0, "yesterday": 1, "今天": 0, "刚刚": 0, "昨天": 1, "前天": 2}
_MAX_CHARACTERS = 60


def parse_published_date(value: object, now: datetime) -> datetime | None:
    """Return a date in UTC: ISO 8601, RFC 5322, ``Jan 5, 2026``, ``3 days ago``, ``2026年1月5日``, ``3天前``.

    None for any other value, and for a date more than a day after ``now``.
    """
    if not isinstance(value, str) or not (text := " ".join(value.split())) or len(text) > _MAX_CHARACTERS:
        return None
    date = parse_iso_date(text) or _parse_relative(text, now) or _parse_worded(text) or _parse_rfc5322(text)
    return date if date is not None and date <= now + timedelta(days=1) else None


def _parse_relative(text: str, now: datetime) -> datetime | None:
    days: float | None = _NAMED_DAYS.get(text.lower())
    if ago := _AGO.fullmatch(text) or _AGO_CHINESE.fullmatch(text):
        count = int(ago[1]) if ago[1].isdigit() else 1
        days = count * _SPAN_DAYS[ago[2].lower()]
    try:
        return None if days is None else now - timedelta(days=days)
    except OverflowError:
        return None


def _parse_worded(text: str) -> datetime | None:
    if date := _CHINESE.fullmatch(text):
        text = f"{date[1]}/{date[2]}/{date[3]}"
    for form in _WORDED:
        try:
            return datetime.strptime(text.replace(".", ""), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _parse_rfc5322(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        return None
