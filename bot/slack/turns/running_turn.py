"""The state of turns that run, and of those that wait for another attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum

from bot.slack.posting.reply import AnswerReply
from bot.storage.turns.questions import QuestionKey, QuestionMessage

_MAX_DELAY_S = 60.0
"""The longest delay between two attempts at an interrupted turn."""


class CancelReason(StrEnum):
    """Why a running turn is cancelled."""

    EDITED = "edited"
    DELETED = "deleted"
    STOPPED = "stopped"
    ENDING = "ending"
    LOST = "lost"


class RunningTurn:
    """A turn whose task runs."""

    def __init__(self, task: asyncio.Task[None], has_earlier: Callable[[], bool]) -> None:
        self.task = task
        self.has_earlier = has_earlier
        """Returns whether an earlier question of its thread waits in this process."""
        self.cancel_reason: CancelReason | None = None
        self.reply: AnswerReply | None = None
        self.revision = -1
        """The question's revision that is answered; -1 before the ledger has begun the turn."""

        self.next_message: QuestionMessage | None = None
        """The question as it was edited after its answer was complete, before the turn had ended."""
        self._has_started = False

    def start(self) -> None:
        """Say that the task runs, so that it handles its cancellation; an earlier one takes effect now."""
        self._has_started = True
        if self.cancel_reason is not None:
            self.task.cancel()

    def cancel(self, reason: CancelReason) -> None:
        """Cancel the task; only the first reason counts."""
        if self.cancel_reason is None:
            self.cancel_reason = reason
            if self._has_started:
                self.task.cancel()


class RetryDelays:
    """The delays before the next attempts at interrupted turns: each is twice as long as the last."""

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._delays: dict[QuestionKey, tuple[float, float]] = {}
        """When the next attempt is due, and the delay before it, in seconds."""

    def delay_retry(self, key: QuestionKey) -> None:
        """Delay the next attempt at a turn."""
        _, last_s = self._delays.get(key, (0.0, self._first_s / 2))
        delay_s = min(last_s * 2, _MAX_DELAY_S)
        self._delays[key] = (time.monotonic() + delay_s, delay_s)

    def is_due(self, key: QuestionKey) -> bool:
        """Return whether a turn may be attempted now."""
        due_at, _ = self._delays.get(key, (0.0, 0.0))
        return due_at <= time.monotonic()

    def forget_delays(self, key: QuestionKey) -> None:
        """Forget the delays of a turn that has ended."""
        self._delays.pop(key, None)
