"""Faults that the control API sets, to test an app against them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bot.sandbox.state.model import Json, SlackChannel

Event = tuple[Json, SlackChannel | None]
"""An event for the app, with its conversation if it has one."""


@dataclass(slots=True)
class Fault:
    """The next ``times`` calls of matching methods fail in one way."""

    method: str
    """A pattern: ``chat.*Stream``."""
    times: int = 1
    """-1: until it is cleared."""
    skip: int = 0
    """The number of calls that pass before."""
    error: str | None = None
    """Slack's error name to answer with."""
    status: int = 200
    """The HTTP status; 429 sends ``retry_after_s``, 5xx has no JSON body."""
    retry_after_s: int = 1
    hang_s: float = 0.0
    """Delay of the answer."""
    lose_reply: bool = False
    """Run the call, then close the connection without an answer."""
    concerns: str = ""
    """The id of a person, team or channel: only calls that concern it fail. "": all calls."""

    def count_call(self, method: str, concerned: Collection[str]) -> bool:
        """Count a call that concerns some people, teams and channels; return whether it fails."""
        if self.times == 0 or not fnmatchcase(method, self.method):
            return False
        if self.concerns and self.concerns not in concerned:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times > 0:
            self.times -= 1
        return True


class Faults:
    """All faults that are set."""

    def __init__(self) -> None:
        self.calls: list[Fault] = []
        self.acks_to_drop = 0
        self.duplicates = 0
        """How many extra times the next event is delivered, each with its own event id."""
        self.late_message_s: float | None = None
        """How long the ``message`` event of the next mention with files comes after its ``app_mention``, which then has
        no files; None for Slack's usual order."""
        self.event_delays_s: list[float] = []
        """How long the next events are delayed, one after the other, so that later ones overtake them."""

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.calls.clear()
        self.event_delays_s.clear()
        self.acks_to_drop = self.duplicates = 0
        self.late_message_s = None

    def find_fault(self, method: str, concerned: Collection[str]) -> Fault | None:
        """Return the fault of a call that concerns some people, teams and channels; None for none."""
        return next((fault for fault in self.calls if fault.count_call(method, concerned)), None)

    def take_ack(self) -> bool:
        """Return whether to drop an acknowledgement, and count it."""
        if self.acks_to_drop == 0:
            return False
        self.acks_to_drop -= 1
        return True

    def take_duplicates(self) -> int:
        """Return how many extra times the next event is delivered, and reset it."""
        duplicates, self.duplicates = self.duplicates, 0
        return duplicates

    def order_events(self, events: Sequence[Event]) -> list[tuple[Json, SlackChannel | None, float]]:
        """Return events in the order of their delivery, each with its delay in seconds."""
        delay_s = self.late_message_s
        mention = next((event for event, _ in events if event["type"] == "app_mention" and event.get("files")), None)
        if delay_s is None or mention is None:
            return [(*one, 0.0) for one in events]
        self.late_message_s = None
        deliveries: list[tuple[Json, SlackChannel | None, float]] = []
        for event, room in events:
            if event is mention:
                bare = {name: value for name, value in event.items() if name not in {"files", "subtype"}}
                deliveries.insert(0, (bare, room, 0.0))
            else:
                is_late = event["type"] == "message" and event.get("ts") == mention["ts"]
                deliveries.append((event, room, delay_s if is_late else 0.0))
        return deliveries

    def take_event_delay(self) -> float:
        """Return how long the next event is delayed, in seconds, and count it."""
        return self.event_delays_s.pop(0) if self.event_delays_s else 0.0
