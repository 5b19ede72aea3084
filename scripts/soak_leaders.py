"""The soak of leaders: the process that leads is killed, stopped, cut off or loses its connections, again and again."""

from __future__ import annotations

import contextlib
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from knowledge.sync.manifest.lease import VALID_S
from tests.postgres import create_database, postgres_server
from tests.sync.running.leader_faults import FAULTS, LeaderOutcome, run_fault


class LeadersSoak:
    """Worlds of four faults, each with two processes and an empty PostgreSQL database."""

    world = len(FAULTS)
    outcome = LeaderOutcome
    place = "postgres"

    def __init__(self, server: str) -> None:
        self._server = server

    @classmethod
    @contextlib.contextmanager
    def open(cls, arguments: Namespace) -> Iterator[LeadersSoak]:  # noqa: ARG003 - as the other kinds
        """Yield the soak with its database server."""
        with postgres_server() as server:
            yield cls(server)

    async def run_world(self, seed: int) -> LeaderOutcome:
        """Run a world: every fault once, at a moment that the seed chooses."""
        total = LeaderOutcome()
        for fault in FAULTS:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    found = await run_fault(fault, Path(folder), create_database(self._server), seed, VALID_S)
                except (AssertionError, TimeoutError) as error:
                    found = LeaderOutcome(problems=[f"{fault}, seed {seed}: it ended: {error!r:.500}"])
            total.rounds += found.rounds
            total.refused += found.refused
            total.slow_s += found.slow_s
            total.problems += found.problems
        return total

    @staticmethod
    def list_failures(outcome: LeaderOutcome) -> list[str]:
        """Return what went wrong in a world."""
        return outcome.problems

    @staticmethod
    def has_failed(total: LeaderOutcome) -> bool:
        """Return whether anything went wrong."""
        return bool(total.problems)

    @staticmethod
    def format_figures(outcome: LeaderOutcome) -> str:
        """Return the figures of an outcome."""
        slow = f"another process led after at most {max(outcome.slow_s, default=0.0):.1f} s"
        return f"{outcome.rounds} faults, {slow}, {outcome.refused} late syncs refused, {len(outcome.problems)} wrong"

    def format_options(self) -> str:
        """Return the options that repeat a world."""
        return "--kind leaders"
