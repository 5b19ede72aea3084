"""What the one log line of a turn tells: ids and figures, no texts."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.storage.questions import QuestionKey

_log = structlog.get_logger("kvasir.turns")


@dataclass(slots=True)
class TurnRecord:
    """A turn's figures, filled in as it goes."""

    outcome: str = "done"
    """``done``, ``found`` (an earlier attempt had done it), ``failed``, ``late``, ``stopped``, ``deleted``, ``edited``,
    ``superseded``, ``gone``, ``given up``, ``ending``; ``open``: it is begun again later."""
    route: str = ""
    attempts: int = 0
    wait_s: float = 0.0
    """From its arrival to its turn."""
    begun_s: float = 0.0
    """From its turn to the call for an answer."""
    first_call_s: float | None = None
    """From the answer's first text to its Slack call on its way."""
    error: str = ""

    def tell(self, key: QuestionKey, seconds: float) -> None:
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
            seconds=round(seconds, 3),
            error=self.error,
        )
