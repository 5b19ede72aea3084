"""When a writer makes its next call, and the line that it may show until an answer has text."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from bot.slack.posting.message_sink import AnswerMessage
from bot.slack.posting.plan_message import PlanMessage
from bot.slack.posting.text_buffer import TextBuffer


class WaitingLine:
    """A line that a message shows until the answer's first text replaces it."""

    def __init__(self) -> None:
        self.text = ""
        self._shown = ""

    @property
    def is_due(self) -> bool:
        """Return whether the message shows an older line."""
        return self.text != self._shown

    def take_line(self) -> str:
        """Return the line, which then counts as shown."""
        self._shown = self.text
        return self.text


class CallSchedule:
    """Waits until there is something to send, and paces the calls."""

    def __init__(
        self,
        buffer: TextBuffer,
        plan: PlanMessage,
        line: WaitingLine,
        get_opening_pause_s: Callable[[], float],
    ) -> None:
        """``get_opening_pause_s`` returns how long the first text of a message waits, in seconds."""
        self._buffer = buffer
        self._plan = plan
        self._line = line
        self._get_opening_pause_s = get_opening_pause_s
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Return whether the text is complete."""
        return self._ended.is_set()

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._wake.set()

    def end(self) -> None:
        """Say that the text is complete, so that the rest is sent at once."""
        self._ended.set()
        self._wake.set()

    async def wait_for_end(self) -> None:
        """Wait until the text is complete."""
        await self._ended.wait()

    async def wait(self, message: AnswerMessage | None) -> None:
        """Wait until there is something to send and the rate limit allows a call, or until the message is too old."""
        while (pause_s := self._get_pause_s(message)) > 0:
            left_s = float("inf") if message is None else message.remaining_s
            if left_s <= 0:
                return
            self._wake.clear()
            await wait_for_event(self._wake, min(pause_s, left_s))

    def _get_pause_s(self, message: AnswerMessage | None) -> float:
        """Return how long to wait for something to send, in seconds."""
        if self._ended.is_set() or self._line.is_due or self._plan.is_restart_due(message):
            return 0.0
        if self._buffer.has_text:
            return self._get_opening_pause_s() if message is None else message.get_pause_s(is_text=True)
        if message is not None and message.has_news:
            return message.get_pause_s(is_text=False)
        return self._plan.get_wait_s(message)


async def wait_for_event(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event for at most ``within_s``; return whether it is set.

    ``asyncio.wait_for`` of Python 3.11 loses a cancellation that arrives together with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if within_s == float("inf") else max(within_s, 0.0)):
            await event.wait()
    return event.is_set()
