"""Faults that the control API sets, to test an app against them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bot.sandbox.state.model import Json, SlackChannel


@dataclass(slots=True)
class Fault:
    """The next ``times`` calls of matching methods fail in one way."""

    method: str
    """A pattern such as ``chat.*Stream`` names the methods."""
    times: int = 1
    """-1 lets calls fail until the fault is cleared."""
    skip: int = 0
    """So many matching calls pass before the first one fails."""
    error: str | None = None
    status: int = 200
    """An answer with the HTTP status 429 has ``retry_after_s``, and one with 5xx has no JSON body."""
    retry_after_s: int = 1
    hang_s: float = 0.0
    lose_reply: bool = False
    """Whether the call is run, and then the connection is closed without an answer."""
    concerns: str = ""
    """Only calls that concern the person, team or channel of this id fail; all calls if it is empty."""

    def count_call(self, method: str, concerned: Collection[str]) -> bool:
        """Count a call that concerns some people, teams and channels; return whether it fails."""
        is_concerned = not self.concerns or self.concerns in concerned
        if self.times == 0 or not is_concerned or not fnmatchcase(method, self.method):
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
        """The next event is delivered so many extra times, each with its own event id."""
        self.late_message_s: float | None = None
        """The ``message`` of the next mention with files comes so many seconds after its ``app_mention``, which has no
        files then. None means Slack's usual order."""
        self.event_delays_s: list[float] = []
        """Each is the delay of one of the next events, so that later ones overtake it."""

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.calls.clear()
        self.event_delays_s.clear()
        self.acks_to_drop = self.duplicates = 0
        self.late_message_s = None

    def find_fault(self, method: str, concerned: Collection[str]) -> Fault | None:
        """Return the fault of a call that concerns some people, teams and channels; None for none."""
        return next((fault for fault in self.calls if fault.count_call(method, concerned)), None)

    def order_events(
        self, events: Sequence[tuple[Json, SlackChannel | None]]
    ) -> list[tuple[Json, SlackChannel | None, float]]:
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
