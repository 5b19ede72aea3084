"""The state of turns that run, and of those that wait for another attempt, and the log line of a turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from bot.slack.posting.reply import AnswerReply
from bot.storage.turns.questions import QuestionKey, QuestionMessage

_log = structlog.get_logger("kvasir.turns")

_MAX_DELAY_S = 60.0


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
        self.unused_generations = 0
        """Generations that the ledger has counted and the engine had not begun when the turn was cancelled."""
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
            self.unused_generations = int(self.reply is not None and self.reply.is_in_line)
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


@dataclass(slots=True)
class TurnRecord:
    """A turn's figures for the log, which its steps fill in: ids and numbers, no texts."""

    outcome: str = "done"
    """``done``, ``found`` (an earlier attempt had completed it), ``failed``, ``late``, ``stopped``, ``deleted``,
    ``edited``, ``lost`` (to another process), ``superseded``, ``gone`` (or refused), ``given up``, ``ending``;
    ``open``, ``overtaken``: another attempt follows."""
    route: str = ""
    attempts: int = 0
    wait_s: float = 0.0
    """The time from the question's submission to the start of its turn."""
    begun_s: float = 0.0
    """The time from the start of the turn to the request for an answer."""
    first_call_s: float | None = None
    """The time from the answer's first text to the Slack call that carries it."""
    error: str = ""
    started_at: float = field(default_factory=time.perf_counter)

    def write_line(self, key: QuestionKey) -> None:
        """Write the line."""
        _log.info(
            "turn",
            team=key.team,
            channel=key.channel,
            ts=key.ts,
            outcome=self.outcome,
            route=self.route,
            attempts=self.attempts,
            wait_s=round(self.wait_s, 4),
            begun_s=round(self.begun_s, 4),
            first_call_s=None if self.first_call_s is None else round(self.first_call_s, 4),
            seconds=round(time.perf_counter() - self.started_at, 3),
            error=self.error,
        )
