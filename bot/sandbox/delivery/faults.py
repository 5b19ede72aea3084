"""What goes wrong on purpose: set over the control API, so that an app can be tried against it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from bot.sandbox.state.model import Json


@dataclass(slots=True)
class Fault:
    """The next ``times`` calls of methods that match go wrong in one way."""

    method: str
    """A pattern: ``chat.*Stream``."""
    times: int = 1
    """-1: until it is cleared."""
    skip: int = 0
    """Calls that are let pass before."""
    error: str | None = None
    """Slack's error name to answer with."""
    status: int = 200
    """The HTTP status; 429 brings ``retry_after_s`` along, 5xx has no JSON body."""
    retry_after_s: int = 1
    hang_s: float = 0.0
    """Answer this much later."""
    lose_reply: bool = False
    """Do what is asked, then close the connection without an answer."""

    def count_call(self, method: str) -> bool:
        """Tell whether a call goes wrong, and count it."""
        if self.times == 0 or not fnmatchcase(method, self.method):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times > 0:
            self.times -= 1
        return True


class Faults:
    """Every fault that is set now."""

    def __init__(self) -> None:
        self.calls: list[Fault] = []
        self.acks_to_drop = 0
        self.duplicates = 0
        """The next event is delivered this many more times, each under an event id of its own."""

    def add_fault(self, body: Json) -> None:
        """Set a fault from the control API's body.

        Raises:
            TypeError: a key is unknown.

        """
        self.calls.append(Fault(**body))

    def clear_faults(self) -> None:
        """Set everything right again."""
        self.calls.clear()
        self.acks_to_drop = self.duplicates = 0

    def find_fault(self, method: str) -> Fault | None:
        """Return the fault that a call meets, if any."""
        return next((fault for fault in self.calls if fault.count_call(method)), None)

    def take_ack(self) -> bool:
        """Tell whether an acknowledgement is to be lost, and count it."""
        if self.acks_to_drop == 0:
            return False
        self.acks_to_drop -= 1
        return True

    def take_duplicates(self) -> int:
        """Return how many more times the next event is delivered, and forget it."""
        duplicates, self.duplicates = self.duplicates, 0
        return duplicates
