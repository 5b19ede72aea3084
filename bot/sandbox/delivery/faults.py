"""Faults that the control API sets, to test an app against them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from bot.sandbox.state.model import Json


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

    def count_call(self, method: str) -> bool:
        """Count a call; return whether it fails."""
        if self.times == 0 or not fnmatchcase(method, self.method):
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

    def add_fault(self, body: Json) -> None:
        """Add a fault from the control API's body.

        Raises:
            TypeError: a key is unknown.

        """
        self.calls.append(Fault(**body))

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.calls.clear()
        self.acks_to_drop = self.duplicates = 0

    def find_fault(self, method: str) -> Fault | None:
        """Return the fault of a call, if any."""
        return next((fault for fault in self.calls if fault.count_call(method)), None)

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
