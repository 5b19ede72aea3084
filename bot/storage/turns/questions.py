"""A question from Slack, and its turn in the ledger. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class TurnState(StrEnum):
    """The state of a turn."""

    RECEIVED = "received"
    ANSWERING = "answering"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


UNFINISHED = (TurnState.RECEIVED, TurnState.ANSWERING)


APP_PREFIX = "B"
"""How Slack's ids of apps' bots begin; those of people begin with U or W."""


def is_app(user: str) -> bool:
    """Return whether an id is that of an app's bot."""
    return user.startswith(APP_PREFIX)


@dataclass(frozen=True, slots=True)
class QuestionKey:
    """Identifies a question, however many events deliver it."""

    team: str
    channel: str
    ts: str


class Subject(NamedTuple):
    """The message that a question is about, somewhere else in Slack."""

    channel: str
    thread_ts: str
    """The root of its thread; its own ``ts`` if it has none."""
    ts: str

    def encode(self) -> str:
        """Return it as one text."""
        return " ".join(self)

    @classmethod
    def decode(cls, text: str) -> Subject | None:
        """Return the subject of a text, None for an empty one."""
        parts = text.split()
        return cls(*parts) if len(parts) == len(cls._fields) else None


@dataclass(frozen=True, slots=True)
class QuestionMessage:
    """A question from Slack."""

    key: QuestionKey
    thread_ts: str
    """The root of its thread; its own ``ts`` if it begins one."""
    user: str
    text: str = field(repr=False)
    is_direct: bool = False
    files: int = 0
    is_unasked: bool = False
    """Whether it is answered, if at all, although it neither mentions Kvasir nor follows a question in its thread."""
    subject: Subject | None = None

    @property
    def thread(self) -> tuple[str, str, str]:
        """Return the conversation it belongs to: team, channel, root."""
        return (self.key.team, self.key.channel, self.thread_ts)

    @property
    def conversation(self) -> str:
        """Return the name of that conversation."""
        return "-".join(self.thread)

    @property
    def opens_thread(self) -> bool:
        """Return whether it is the first message of its thread."""
        return self.thread_ts == self.key.ts


@dataclass(frozen=True, slots=True)
class LedgerTurn:
    """A row of the ledger."""

    message: QuestionMessage
    state: TurnState
    revision: int
    """Counts the edits of the question."""
    replies: tuple[str, ...]
    """Timestamps of the messages with its answer, in order."""
    attempts: int
    received_at: float
    """When the question or its last edit after an answer came, in seconds since the epoch."""
    generations: int = 0
    """How often an answer was generated, over all attempts and processes."""
    revises: bool = False
    """Whether ``replies`` answer an earlier text of the question, so that the next answer replaces them."""
    regenerates: bool = False
    """Whether the next answer replaces them because the asker wants another one, not because of an edit."""
    owner: str = field(default="", compare=False)
    """The process that has the question."""


class TurnLost(Exception):
    """Another process has taken the question over, because the lease of this one had expired."""
