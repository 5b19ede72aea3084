"""The log line of a turn: ids and figures, no texts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import structlog

from bot.storage.turns.questions import QuestionKey

_log = structlog.get_logger("kvasir.turns")


@dataclass(slots=True)
class TurnRecord:
    """A turn's figures, which its steps fill in."""

    outcome: str = "done"
    """``done``, ``found`` (an earlier attempt had completed it), ``failed``, ``late``, ``stopped``, ``deleted``,
    ``edited``, ``lost`` (to another process), ``superseded``, ``gone`` (or refused), ``given up``, ``ending``;
    ``open``, ``overtaken``: another attempt follows."""
    route: str = ""
    attempts: int = 0
    wait_s: float = 0.0
    """From the question's submission to the start of its turn."""
    begun_s: float = 0.0
    """From the start of the turn to the request for an answer."""
    first_call_s: float | None = None
    """From the answer's first text to the Slack call that carries it."""
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
