"""The soak of turns: two replicas answer every question exactly once, while Slack, the network and machines fail."""

from __future__ import annotations

import contextlib
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from bot.errors import BotError
from tests.soak.turns.plan import make_plan
from tests.soak.turns.stage import open_database_server, run_plan
from tests.soak.turns.verdict import TurnsOutcome

ENDS = 3
"""How often replicas end in a world."""


class TurnsSoak:
    """Worlds of 250 questions, each with a workspace, two replicas and an empty database."""

    world = 250
    outcome = TurnsOutcome

    def __init__(self, arguments: Namespace, server: str) -> None:
        self._keep: Path | None = arguments.keep
        self._server = server
        self.place = arguments.database

    @classmethod
    @contextlib.contextmanager
    def open(cls, arguments: Namespace) -> Iterator[TurnsSoak]:
        """Yield the soak with its database server."""
        with open_database_server(arguments.database) as server:
            yield cls(arguments, server)

    async def run_world(self, seed: int) -> TurnsOutcome:
        """Run a world."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if self._keep is None else self._keep / f"{self.place}-{seed}-{time.time_ns()}"
            plan = make_plan(seed, self.world, ends=ENDS)
            try:
                return await run_plan(self._server, folder, plan, f"soak_{seed}_{time.time_ns()}")
            except (AssertionError, TimeoutError, BotError) as error:
                return TurnsOutcome(leftovers=[f"the world ended: {error!r:.2000}"])

    @staticmethod
    def list_failures(outcome: TurnsOutcome) -> list[str]:
        """Return what went wrong in a world."""
        return outcome.failures

    @staticmethod
    def has_failed(total: TurnsOutcome) -> bool:
        """Return whether anything went wrong."""
        return bool(total.failures)

    @staticmethod
    def format_figures(outcome: TurnsOutcome) -> str:
        """Return the figures of an outcome."""
        done = f"{outcome.questions} questions, {outcome.answered} answered, {outcome.refused} with a sentence instead"
        wrong = f"{len(outcome.lost)} lost, {len(outcome.doubled)} doubled, {len(outcome.silent)} silent"
        return f"{done}, {outcome.generations} generations ({len(outcome.excess)} with too many), {wrong}"

    def format_options(self) -> str:
        """Return the options that repeat a world."""
        return f"--kind turns --database {self.place} --keep soak-worlds"
