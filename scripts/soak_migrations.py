"""The soak of migrations: a million rows are migrated by a process that is killed 20 times, while people ask."""

from __future__ import annotations

import contextlib
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from bot.errors import BotError
from knowledge.errors import KnowledgeError
from tests.soak.migrations import MigratedWorld, MigrationOutcome
from tests.soak.turns.stage import make_database, open_database_server

KILLS = 20


class MigrationsSoak:
    """Worlds of one migration each; the number of questions follows from its length."""

    world = 10_000
    outcome = MigrationOutcome

    def __init__(self, arguments: Namespace, server: str) -> None:
        self._rows: int = arguments.rows
        self._server = server
        self.place = arguments.database

    @classmethod
    @contextlib.contextmanager
    def open(cls, arguments: Namespace) -> Iterator[MigrationsSoak]:
        """Yield the soak with its database server."""
        with open_database_server(arguments.database) as server:
            yield cls(arguments, server)

    async def run_world(self, seed: int) -> MigrationOutcome:
        """Run a world."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            url = await make_database(self._server, folder, f"migrated_{seed}_{time.time_ns()}")
            try:
                return await MigratedWorld(url, folder, rows=self._rows, kills=KILLS, seed=seed).run()
            except (AssertionError, TimeoutError, BotError, KnowledgeError) as error:
                return MigrationOutcome(failures=[f"the world ended: {error!r:.2000}"])

    @staticmethod
    def list_failures(outcome: MigrationOutcome) -> list[str]:
        """Return what went wrong in a world."""
        return outcome.failures

    @staticmethod
    def has_failed(total: MigrationOutcome) -> bool:
        """Return whether anything went wrong."""
        return bool(total.failures)

    @staticmethod
    def format_figures(outcome: MigrationOutcome) -> str:
        """Return the figures of an outcome."""
        asked = f"{outcome.answered} of {outcome.questions} questions answered"
        return f"{outcome.rows} rows migrated, killed {outcome.kills} times, {asked}, {len(outcome.failures)} failures"

    def format_options(self) -> str:
        """Return the options that repeat a world."""
        return f"--kind migrations --database {self.place} --rows {self._rows}"
