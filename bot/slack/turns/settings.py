"""Limits and deadlines of turns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """Limits and deadlines of turns."""

    concurrent: int = 300
    """Turns at once, with those that wait in the engine's own queue, which is fair to people and shows their position;
    the others wait in the order of their arrival."""
    deadline_s: float = 900.0
    """For one answer, from the start of its turn to its last word; a reasoning model may think for minutes."""
    drain_s: float = 20.0
    """How long running answers may continue when the process shuts down."""
    heartbeat_s: float = 5.0
    """Between two renewals of the leases; the search for abandoned turns happens at the same interval."""
    attempts: int = 3
    """How often a question may crash the process before it gets an apology instead of an answer."""
    give_up_s: float = 3_600.0
    """How long a question waits for Slack or the ledger to work again."""
    keep_turns_s: float = 30 * 86_400
    keep_threads_s: float = 365 * 86_400
    """How long the bot stays a participant of a thread without messages."""
