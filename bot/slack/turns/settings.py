"""Limits and deadlines of turns."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.storage.retention import Retention


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """Limits and deadlines of turns."""

    concurrent: int = 300
    """Turns of a workspace that run at once, with those in the engine's queue, which is fair and shows positions. Other
    turns wait in the order of their arrival."""
    show_places_every_s: float = 10.0
    deadline_s: float = 900.0
    """The deadline of one answer, from the start of its turn to its last word; a model may think for minutes."""
    recheck_s: float = 45.0
    """How long the rights to the passages of an answer count after its search, while a model thinks and writes."""
    drain_s: float = 20.0
    """How long running answers may continue when the process shuts down."""
    heartbeat_s: float = 5.0
    attempts: int = 3
    """Attempts at a question that crashes the process, before it gets an apology."""
    generations: int = 2
    """Generations of an answer to one question, over all attempts and processes."""
    refused_s: float = 120.0
    """How long to try again if Slack refuses an answer in every form; then the asker learns it in another way."""
    give_up_s: float = 3_600.0
    """How long a question may wait until Slack or the ledger works again."""
    retention: Retention = field(default_factory=Retention)
