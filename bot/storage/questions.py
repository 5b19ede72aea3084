"""A question as it was asked in Slack, and as the ledger keeps it. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class TurnState(StrEnum):
    """Where a question is in its life."""

    RECEIVED = "received"
    ANSWERING = "answering"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


UNFINISHED = (TurnState.RECEIVED, TurnState.ANSWERING)


@dataclass(frozen=True, slots=True)
class QuestionKey:
    """What a question is known by, whatever event ids it arrives under."""

    team: str
    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class QuestionMessage:
    """A question as it was asked."""

    key: QuestionKey
    thread_ts: str
    """The root of its thread; its own ``ts`` where it opens one."""
    user: str
    text: str = field(repr=False)
    is_direct: bool = False
    """Whether it was asked in a direct message."""
    files: int = 0
    """How many files hang on it."""

    @property
    def thread(self) -> tuple[str, str, str]:
        """Return the conversation it belongs to: team, channel, root."""
        return (self.key.team, self.key.channel, self.thread_ts)

    @property
    def opens_thread(self) -> bool:
        """Tell whether nothing was said in this thread before."""
        return self.thread_ts == self.key.ts


@dataclass(frozen=True, slots=True)
class Turn:
    """A row of the ledger."""

    message: QuestionMessage
    state: TurnState
    revision: int
    """Grows with each edit of the question."""
    replies: tuple[str, ...]
    """Timestamps of the messages that hold its answer, in order."""
    attempts: int
    """How often it was begun."""
    received_at: float
    """Seconds since the epoch."""
