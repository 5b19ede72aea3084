"""What a writer does until an answer has text: it waits, and may show a line meanwhile."""

from __future__ import annotations

import asyncio
import contextlib


class WaitingLine:
    """A line that a message shows until the answer's first text replaces it."""

    def __init__(self) -> None:
        self.text = ""
        self._shown = ""

    @property
    def is_due(self) -> bool:
        """Return whether the message shows an older line."""
        return self.text != self._shown

    def take(self) -> str:
        """Return the line, which then counts as shown."""
        self._shown = self.text
        return self.text


async def wait_for_event(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event for at most ``within_s``; return whether it is set.

    ``asyncio.wait_for`` of Python 3.11 loses a cancellation that arrives together with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if within_s == float("inf") else max(within_s, 0.0)):
            await event.wait()
    return event.is_set()
