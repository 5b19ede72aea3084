"""The state of channels and their threads between two syncs, and how pages and events change it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.slack.conversations.history.channel_events import ThreadEligibility, get_thread_ts, judge_thread
from bot.slack.wire.events import BotUser
from bot.storage.channels.channel_event_log import ChannelEvent, ChannelEventKind

VERSION = 1
"""The version of the saved state; other versions are not loaded."""


@dataclass(slots=True)
class ThreadState:
    """One thread of a channel."""

    listed_version: str
    """Changes with the first message and the number of replies, as pages of the channel show them."""
    event_version: str
    active_at: float
    """The time of the last change, in seconds since the epoch."""
    eligibility: ThreadEligibility

    @property
    def version(self) -> str:
        """Return a version that changes whenever the document may have changed."""
        return f"{self.listed_version}|{self.event_version}"

    @property
    def has_no_replies(self) -> bool:
        """Return whether no reply is known."""
        return not self.event_version and self.listed_version.split("/")[1:2] == ["0"]


@dataclass(slots=True)
class ChannelState:
    """One public channel that the bot is in."""

    name: str
    threads: dict[str, ThreadState] = field(default_factory=dict)
    resume_below: str | None = None
    """An unfinished listing continues with threads older than this ``ts``; None after a complete listing."""
    is_left: bool = False
    """Whether the bot has left the channel, so that nobody may read its threads."""


@dataclass(slots=True)
class WorkspaceState:
    """The state that is saved between two listings."""

    team: str = ""
    last_event_id: int = 0
    """The row of the event log up to which events are applied."""
    complete_until: float = 0.0
    """The time until which no event was missed, in seconds since the epoch."""
    listed_at: float = 0.0
    channels: dict[str, ChannelState] = field(default_factory=dict)
    new_ids: dict[str, str] = field(default_factory=dict)
    """The id that a channel has now, by the id that the configuration may still have."""

    def dump_state(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return {
            "team": self.team,
            "applied": self.last_event_id,
            "watched": self.complete_until,
            "walked": self.listed_at,
            "moved": self.new_ids,
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
    def load_state(cls, saved: Mapping[str, Any] | None) -> WorkspaceState:
        """Return the state that ``dump_state`` returned; an empty state for anything else."""
        try:
            return cls._parse_state(saved) if isinstance(saved, dict) and saved else cls()
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()

    @classmethod
    def _parse_state(cls, saved: Mapping[str, Any]) -> WorkspaceState:
        channels = {}
        for channel, room in saved["rooms"].items():
            threads = {
                _check_ts(ts): ThreadState(_check_text(listed), _check_text(event), float(at), ThreadEligibility(kind))
                for ts, (listed, event, at, kind) in room["threads"].items()
            }
            below = room["below"]
            channels[channel] = ChannelState(
                _check_text(room["name"]),
                threads,
                None if below is None else _check_ts(below),
                room.get("left") is True,
            )
        last_event_id, complete_until, listed_at = (
            int(saved["applied"]),
            float(saved["watched"]),
            float(saved["walked"]),
        )
        new_ids = {_check_text(old): _check_text(new) for old, new in saved.get("moved", {}).items()}
        return cls(_check_text(saved["team"]), last_event_id, complete_until, listed_at, channels, new_ids)


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
    """Apply a page with all of a channel's threads that began after ``low`` and before ``high``."""
    roots = {str(m.get("ts")): m for m in messages if get_thread_ts(m) == m.get("ts")}
    for ts in [ts for ts in room.threads if ts not in roots and _is_between(ts, low, high)]:
        del room.threads[ts]
    for ts, message in roots.items():
        thread = room.threads.get(ts)
        eligibility = judge_thread(message, me, bots=bots)
        if thread is not None and _keeps_listed(thread, eligibility):
            eligibility = ThreadEligibility.LISTED
        at = max(float(ts), float(message.get("latest_reply") or 0), thread.active_at if thread else 0.0)
        room.threads[ts] = ThreadState(
            _summarize_message(message), thread.event_version if thread else "", at, eligibility
        )


def _keeps_listed(thread: ThreadState, eligibility: ThreadEligibility) -> bool:
    """Return whether a thread stays listed because it has had a reply."""
    return thread.eligibility is ThreadEligibility.LISTED and eligibility is ThreadEligibility.IF_REPLIED


def _summarize_message(message: Mapping[str, Any]) -> str:
    edited = message.get("edited") or {}
    state = "gone" if message.get("subtype") == "tombstone" else str(edited.get("ts") or "")
    return f"{state}/{int(message.get('reply_count') or 0)}/{message.get('latest_reply') or ''}"


def _is_between(ts: str, low: str, high: str | None) -> bool:
    return float(low) < float(ts) and (high is None or float(ts) < float(high))


# ── Events ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def apply_events(
    state: WorkspaceState, events: Iterable[ChannelEvent], *, since: float, bots: bool
) -> Iterator[tuple[str, str]]:
    """Apply events; yield the threads that an event changes although the state does not have them."""
    for one in events:
        room = state.channels.get(one.channel)
        if room is None or one.kind is ChannelEventKind.MOVED or not one.root or float(one.root) < since:
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


def apply_moves(state: WorkspaceState, events: Iterable[ChannelEvent]) -> None:
    """Give the channels whose ids have changed their new ids; their threads stay."""
    for one in events:
        if one.kind is ChannelEventKind.MOVED and one.channel != one.root:
            state.new_ids = {old: one.root if new == one.channel else new for old, new in state.new_ids.items()}
            state.new_ids[one.channel] = one.root
            if (room := state.channels.pop(one.channel, None)) is not None:
                state.channels.setdefault(one.root, room)


def _apply_reply(thread: ThreadState, event_ts: str) -> None:
    thread.event_version, thread.active_at = event_ts, max(thread.active_at, float(event_ts or 0))
    if thread.eligibility is ThreadEligibility.IF_REPLIED:
        thread.eligibility = ThreadEligibility.LISTED


def _apply_first_message(room: ChannelState, event: ChannelEvent, *, bots: bool) -> None:
    """Apply an event about a new thread, or about a changed first message."""
    eligibility = {
        ChannelEventKind.SAID: ThreadEligibility.LISTED,
        ChannelEventKind.BOT: ThreadEligibility.LISTED if bots else ThreadEligibility.IF_REPLIED,
        ChannelEventKind.SKIPPED: ThreadEligibility.NEVER,
    }[event.kind]
    thread = room.threads.get(event.root)
    if thread is None:
        event_version = "" if event.event_ts == event.root else event.event_ts
        room.threads[event.root] = ThreadState("/0/", event_version, float(event.root), eligibility)
        return
    if event.event_ts != event.root:  # else the page that showed the thread had its first message already
        thread.event_version, thread.active_at = event.event_ts, max(thread.active_at, float(event.event_ts or 0))
    if not _keeps_listed(thread, eligibility):
        thread.eligibility = eligibility


def mark_recent_threads_changed(state: WorkspaceState, since: float, mark: str) -> None:
    """Change the version of each thread that was active after ``since``: its replies may have changed."""
    for room in state.channels.values():
        for thread in room.threads.values():
            if thread.active_at >= since:
                thread.event_version = mark
