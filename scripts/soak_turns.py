"""The soak of turns: three replicas answer every question exactly once, while Slack, the network and machines fail."""

from __future__ import annotations

import contextlib
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from bot.errors import BotError
from tests.soak.turns.plan import Step, make_plan, make_rolling_plan
from tests.soak.turns.stage import open_database_server, run_plan
from tests.soak.turns.verdict import TurnsOutcome

ENDS = 3
"""How often replicas end in a world."""


class TurnsSoak:
    """Worlds of 250 questions, each with a workspace, three replicas and an empty database."""

    kind = "turns"
    world = 250
    outcome = TurnsOutcome
    answer_s = 0.0

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
            name = f"soak_{seed}_{time.time_ns()}"
            try:
                return await run_plan(self._server, folder, self._make_plan(seed), name, answer_s=self.answer_s)
            except (AssertionError, TimeoutError, BotError) as error:
                return TurnsOutcome(leftovers=[f"the world ended: {error!r:.2000}"])

    def _make_plan(self, seed: int) -> Sequence[Step]:
        return make_plan(seed, self.world, ends=ENDS)

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
        return f"--kind {self.kind} --database {self.place} --keep soak-worlds"


class RollingSoak(TurnsSoak):
    """Worlds of 200 questions with long answers, during which both replicas are replaced; nothing else fails."""

    kind = "rolling"
    world = 200
    answer_s = 40.0

    def _make_plan(self, seed: int) -> Sequence[Step]:
        return make_rolling_plan(seed, self.world, 0.7)

    async def run_world(self, seed: int) -> TurnsOutcome:
        """Run a world, in which no answer may begin twice."""
        outcome = await super().run_world(seed)
        if outcome.generations > outcome.questions:
            outcome.excess.append(f"{outcome.generations - outcome.questions} answers began again")
        return outcome
