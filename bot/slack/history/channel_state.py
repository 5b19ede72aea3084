"""What the source of Slack's channels knows of their threads, and how pages and news change it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.slack.events import Me
from bot.slack.history.channel_events import Standing, root_of, standing
from bot.storage.channel_event_log import News, What

VERSION = 1
"""Of what is remembered; another one is not read."""


@dataclass(slots=True)
class Thread:
    """One thread of a channel."""

    walked: str
    """Changes when its first message or the number of its replies does, as pages of the channel show it."""
    touched: str
    """Changes with every event about it."""
    at: float
    """When something last happened in it, in seconds since the epoch."""
    standing: Standing

    @property
    def version(self) -> str:
        """Return what changes when the document may have."""
        return f"{self.walked}|{self.touched}"

    @property
    def alone(self) -> bool:
        """Tell whether nobody has replied, as far as is known."""
        return not self.touched and self.walked.split("/")[1:2] == ["0"]


@dataclass(slots=True)
class Room:
    """One public channel that the bot is in."""

    name: str
    threads: dict[str, Thread] = field(default_factory=dict)
    below: str | None = None
    """Where a walk that is not through goes on: what is older than this ``ts``. None: it is through."""
    left: bool = False
    """Whether the bot is in it no more: what it said is shown to nobody."""


@dataclass(slots=True)
class Remembered:
    """Everything that is kept from one listing to the next."""

    team: str = ""
    applied: int = 0
    """The journal's row up to which news is taken in."""
    watched: float = 0.0
    """Until when nothing was missed, in seconds since the epoch."""
    walked: float = 0.0
    """When all channels were last walked through."""
    rooms: dict[str, Room] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "team": self.team,
            "applied": self.applied,
            "watched": self.watched,
            "walked": self.walked,
            "rooms": {
                channel: {
                    "name": room.name,
                    "below": room.below,
                    "left": room.left,
                    "threads": {ts: [t.walked, t.touched, t.at, int(t.standing)] for ts, t in room.threads.items()},
                }
                for channel, room in self.rooms.items()
            },
        }

    @classmethod
    def load(cls, held: Mapping[str, Any] | None) -> Remembered:
        """Return what ``dump`` gave; of anything else, nothing: the next listing walks again."""
        try:
            return cls._read(held) if isinstance(held, dict) and held else cls()
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()

    @classmethod
    def _read(cls, held: Mapping[str, Any]) -> Remembered:
        rooms = {}
        for channel, room in held["rooms"].items():
            threads = {
                _ts(ts): Thread(_text(walked), _text(touched), float(at), Standing(kind))
                for ts, (walked, touched, at, kind) in room["threads"].items()
            }
            below = room["below"]
            rooms[channel] = Room(
                _text(room["name"]), threads, None if below is None else _ts(below), room.get("left") is True
            )
        applied, watched, walked = int(held["applied"]), float(held["watched"]), float(held["walked"])
        return cls(_text(held["team"]), applied, watched, walked, rooms)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _ts(value: object) -> str:
    float(text := _text(value))
    return text


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def take_page(
    room: Room, messages: Sequence[Mapping[str, Any]], me: Me, *, low: str, high: str | None, bots: bool
) -> None:
    """Take in a page of a channel's history that holds all threads begun after ``low`` and before ``high``."""
    found = {str(m.get("ts")): m for m in messages if root_of(m) == m.get("ts")}
    for ts in [ts for ts in room.threads if ts not in found and _between(ts, low, high)]:
        del room.threads[ts]
    for ts, message in found.items():
        known = room.threads.get(ts)
        walked, now = _walked(message), standing(message, me, bots=bots)
        if known is not None and known.standing is Standing.LISTED and now is Standing.IF_REPLIED:
            now = Standing.LISTED
        at = max(float(ts), float(message.get("latest_reply") or 0), known.at if known else 0.0)
        room.threads[ts] = Thread(walked, known.touched if known else "", at, now)


def _walked(message: Mapping[str, Any]) -> str:
    edited = message.get("edited") or {}
    state = "gone" if message.get("subtype") == "tombstone" else str(edited.get("ts") or "")
    return f"{state}/{int(message.get('reply_count') or 0)}/{message.get('latest_reply') or ''}"


def _between(ts: str, low: str, high: str | None) -> bool:
    return float(low) < float(ts) and (high is None or float(ts) < float(high))


# ── News ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def take_news(remembered: Remembered, news: Iterable[News], *, since: float, bots: bool) -> Iterator[tuple[str, str]]:
    """Take news in; yields the threads that something happened in although nothing is known of them."""
    for one in news:
        room = remembered.rooms.get(one.channel)
        if room is None or not one.root or float(one.root) < since:
            continue
        if one.what is What.GONE:
            room.threads.pop(one.root, None)
        elif one.what is What.TOUCHED:
            thread = room.threads.get(one.root)
            if thread is None:
                yield one.channel, one.root
            else:
                _touch(thread, one.event_ts)
        else:
            _begin(room, one, bots=bots)


def _touch(thread: Thread, event_ts: str) -> None:
    thread.touched, thread.at = event_ts, max(thread.at, float(event_ts or 0))
    if thread.standing is Standing.IF_REPLIED:
        thread.standing = Standing.LISTED


def _begin(room: Room, news: News, *, bots: bool) -> None:
    """Take in that a thread was begun, or that its first message is another now."""
    now = {
        What.SAID: Standing.LISTED,
        What.BOT: Standing.LISTED if bots else Standing.IF_REPLIED,
        What.SKIPPED: Standing.NEVER,
    }[news.what]
    known = room.threads.get(news.root)
    if known is None:
        touched = "" if news.event_ts == news.root else news.event_ts
        room.threads[news.root] = Thread("/0/", touched, float(news.root), now)
        return
    if news.event_ts != news.root:  # the page that told of the thread had its first message already
        known.touched, known.at = news.event_ts, max(known.at, float(news.event_ts or 0))
    if not (known.standing is Standing.LISTED and now is Standing.IF_REPLIED):
        known.standing = now


def doubt(remembered: Remembered, since: float, mark: str) -> None:
    """Have every thread read again in which something happened after ``since``: its replies may have changed."""
    for room in remembered.rooms.values():
        for thread in room.threads.values():
            if thread.at >= since:
                thread.touched = mark
