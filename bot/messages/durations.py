"""Durations, ages and due times. Pure."""

from __future__ import annotations

from datetime import datetime

from bot.languages.registry import Language
from bot.messages.message import Message, render_message

_SECONDS = Message("{count} s", "{count} 秒")
_UNITS = (
    (86_400, Message("{count} d", "{count} 天")),
    (3_600, Message("{count} h", "{count} 小时")),
    (60, Message("{count} min", "{count} 分钟")),
)
_JUST_NOW = Message("just now", "刚刚")
_AGO = Message("{duration} ago", "{duration}前")
_DUE_TIME = Message("{time:%b} {time.day} {time:%H:%M}", "{time.month}月{time.day}日 {time:%H:%M}")


def format_duration(seconds: float, language: Language = "en") -> str:
    """Return a duration in its largest unit: ``40 s``, ``3 min``, ``26 h``, ``2 d`` (days from two on)."""
    for size, unit in _UNITS:
        count = int(seconds // size)
        if count >= (2 if size == 86_400 else 1):  # noqa: PLR2004 - "26 h" tells more than "1 d"
            return render_message(unit, language, count=count)
    return render_message(_SECONDS, language, count=max(0, round(seconds)))


def format_age(seconds: float, language: Language = "en") -> str:
    """Return how long ago something happened."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return render_message(_JUST_NOW, language)
    return render_message(_AGO, language, duration=format_duration(seconds, language))


def format_due_time(moment: datetime, now: datetime, language: Language = "en") -> str:
    """Return a due time in the machine's time zone: the time alone if it is today, else with the day."""
    local = moment.astimezone()
    return (
        f"{local:%H:%M}" if local.date() == now.astimezone().date() else render_message(_DUE_TIME, language, time=local)
    )
