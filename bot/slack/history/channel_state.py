"""What the source of Slack's channels knows of their threads, and how pages and news change it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.slack.events import BotUser
from bot.slack.history.channel_events import ThreadEligibility, get_thread_ts, judge_thread
from bot.storage.channel_event_log import ChannelEvent, ChannelEventKind

VERSION = 1
"""Of what is remembered; another one is not read."""


@dataclass(slots=True)
class ThreadState:
    """One thread of a channel."""

    listed_version: str
    """Changes when its first message or the number of its replies does, as pages of the channel show it."""
    event_version: str
    """Changes with every event about it."""
    active_at: float
    """When something last happened in it, in seconds since the epoch."""
    eligibility: ThreadEligibility

    @property
    def version(self) -> str:
        """Return what changes when the document may have."""
        return f"{self.listed_version}|{self.event_version}"

    @property
    def has_no_replies(self) -> bool:
        """Return whether nobody has replied, as far as is known."""
        return not self.event_version and self.listed_version.split("/")[1:2] == ["0"]


@dataclass(slots=True)
class ChannelState:
    """One public channel that the bot is in."""

    name: str
    threads: dict[str, ThreadState] = field(default_factory=dict)
    resume_below: str | None = None
    """Where a walk that is not through goes on: what is older than this ``ts``. None: it is through."""
    is_left: bool = False
    """Whether the bot is in it no more: what it said is shown to nobody."""


@dataclass(slots=True)
class WorkspaceState:
    """Everything that is kept from one listing to the next."""

    team: str = ""
    last_event_id: int = 0
    """The journal's row up to which news is taken in."""
    complete_until: float = 0.0
    """Until when nothing was missed, in seconds since the epoch."""
    listed_version: float = 0.0
    """When all channels were last walked through."""
    channels: dict[str, ChannelState] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "team": self.team,
            "applied": self.last_event_id,
            "watched": self.complete_until,
            "walked": self.listed_version,
            "rooms": {
                channel: {
                    "name": room.name,
                    "below": room.resume_below,
                    "left": room.is_left,
                    "threads": {
                        ts: [t.listed_version, t.event_version, t.active_at, int(t.eligibility)]
                        for ts, t in room.threads.items()
                    },
                }
                for channel, room in self.channels.items()
            },
        }

    @classmethod
    def load(cls, held: Mapping[str, Any] | None) -> WorkspaceState:
        """Return what ``dump`` gave; of anything else, nothing: the next listing walks again."""
        try:
            return cls._parse(held) if isinstance(held, dict) and held else cls()
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()

    @classmethod
    def _parse(cls, held: Mapping[str, Any]) -> WorkspaceState:
        rooms = {}
        for channel, room in held["rooms"].items():
            threads = {
                _check_ts(ts): ThreadState(
                    _check_text(walked), _check_text(touched), float(at), ThreadEligibility(kind)
                )
                for ts, (walked, touched, at, kind) in room["threads"].items()
            }
            below = room["below"]
            rooms[channel] = ChannelState(
                _check_text(room["name"]),
                threads,
                None if below is None else _check_ts(below),
                room.get("left") is True,
            )
        applied, watched, walked = int(held["applied"]), float(held["watched"]), float(held["walked"])
        return cls(_check_text(held["team"]), applied, watched, walked, rooms)


def _check_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _check_ts(value: object) -> str:
    float(text := _check_text(value))
    return text


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def apply_page(
    room: ChannelState, messages: Sequence[Mapping[str, Any]], me: BotUser, *, low: str, high: str | None, bots: bool
) -> None:
    """Take in a page of a channel's history that holds all threads begun after ``low`` and before ``high``."""
    found = {str(m.get("ts")): m for m in messages if get_thread_ts(m) == m.get("ts")}
    for ts in [ts for ts in room.threads if ts not in found and _is_between(ts, low, high)]:
        del room.threads[ts]
    for ts, message in found.items():
        known = room.threads.get(ts)
        walked, now = _summarize_message(message), judge_thread(message, me, bots=bots)
        if known is not None and known.eligibility is ThreadEligibility.LISTED and now is ThreadEligibility.IF_REPLIED:
            now = ThreadEligibility.LISTED
        at = max(float(ts), float(message.get("latest_reply") or 0), known.active_at if known else 0.0)
        room.threads[ts] = ThreadState(walked, known.event_version if known else "", at, now)


def _summarize_message(message: Mapping[str, Any]) -> str:
    edited = message.get("edited") or {}
    state = "gone" if message.get("subtype") == "tombstone" else str(edited.get("ts") or "")
    return f"{state}/{int(message.get('reply_count') or 0)}/{message.get('latest_reply') or ''}"


def _is_between(ts: str, low: str, high: str | None) -> bool:
    return float(low) < float(ts) and (high is None or float(ts) < float(high))


# ── News ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def apply_events(
    state: WorkspaceState, events: Iterable[ChannelEvent], *, since: float, bots: bool
) -> Iterator[tuple[str, str]]:
    """Take news in; yields the threads that something happened in although nothing is known of them."""
    for one in events:
        room = state.channels.get(one.channel)
        if room is None or not one.root or float(one.root) < since:
            continue
        if one.kind is ChannelEventKind.GONE:
            room.threads.pop(one.root, None)
        elif one.kind is ChannelEventKind.TOUCHED:
            thread = room.threads.get(one.root)
            if thread is None:
                yield one.channel, one.root
            else:
                _apply_reply(thread, one.event_ts)
        else:
            _apply_first_message(room, one, bots=bots)


def _apply_reply(thread: ThreadState, event_ts: str) -> None:
    thread.event_version, thread.active_at = event_ts, max(thread.active_at, float(event_ts or 0))
    if thread.eligibility is ThreadEligibility.IF_REPLIED:
        thread.eligibility = ThreadEligibility.LISTED


def _apply_first_message(room: ChannelState, events: ChannelEvent, *, bots: bool) -> None:
    """Take in that a thread was begun, or that its first message is another now."""
    now = {
        ChannelEventKind.SAID: ThreadEligibility.LISTED,
        ChannelEventKind.BOT: ThreadEligibility.LISTED if bots else ThreadEligibility.IF_REPLIED,
        ChannelEventKind.SKIPPED: ThreadEligibility.NEVER,
    }[events.kind]
    known = room.threads.get(events.root)
    if known is None:
        touched = "" if events.event_ts == events.root else events.event_ts
        room.threads[events.root] = ThreadState("/0/", touched, float(events.root), now)
        return
    if events.event_ts != events.root:  # the page that told of the thread had its first message already
        known.event_version, known.active_at = events.event_ts, max(known.active_at, float(events.event_ts or 0))
    if not (known.eligibility is ThreadEligibility.LISTED and now is ThreadEligibility.IF_REPLIED):
        known.eligibility = now


def mark_recent_threads_changed(state: WorkspaceState, since: float, mark: str) -> None:
    """Have every thread read again in which something happened after ``since``: its replies may have changed."""
    for room in state.channels.values():
        for thread in room.threads.values():
            if thread.active_at >= since:
                thread.event_version = mark
