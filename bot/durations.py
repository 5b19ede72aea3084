"""Texts for durations, ages and due times, in both languages. Pure."""

from __future__ import annotations

from datetime import datetime

_UNITS = ((86_400, "d", "天"), (3_600, "h", "小时"), (60, "min", "分钟"))


def format_duration(seconds: float, *, chinese: bool = False) -> str:
    """Return a duration in its largest unit: ``40 s``, ``3 min``, ``26 h``, ``2 d`` (days from two on)."""
    for size, unit, chinese_unit in _UNITS:
        count = int(seconds // size)
        if count >= (2 if size == 86_400 else 1):  # noqa: PLR2004 - "26 h" tells more than "1 d"
            return f"{count} {chinese_unit if chinese else unit}"
    return f"{max(0, round(seconds))} {'秒' if chinese else 's'}"


def format_age(seconds: float, *, chinese: bool = False) -> str:
    """Return how long ago something happened."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return "刚刚" if chinese else "just now"
    return f"{format_duration(seconds, chinese=chinese)}前" if chinese else f"{format_duration(seconds)} ago"


def format_due_time(moment: datetime, now: datetime, *, chinese: bool = False) -> str:
    """Return a due time in the machine's time zone: the time alone if it is today, else with the day."""
    local, today = moment.astimezone(), now.astimezone().date()
    if local.date() == today:
        return f"{local:%H:%M}"
    return f"{local.month}月{local.day}日 {local:%H:%M}" if chinese else f"{local:%b} {local.day} {local:%H:%M}"
