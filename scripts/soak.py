"""Ask thousands of questions in random worlds, and compare what Kvasir posts with an oracle of its own.

``--kind audiences`` asks who may read what, while rights and documents change, and ``--kind api`` asks the same by the
API. ``--kind turns`` asks whether each question has exactly one answer, while events are doubled, delayed and lost,
Slack refuses calls, and replicas die. ``--kind rolling`` replaces the replicas one after the other while long answers
run, and none of them may begin again. ``--kind leaders`` breaks the process that leads, and compares store and
manifest; there a question is a fault, and 200 are 50 of each kind. ``--kind migrations``
asks while a million rows are migrated by a process that is killed again and again.

Each world has its seed. The results go to a file, a line for each world, so an interrupted run of the same commit
continues. Equal seeds make equal worlds. A failure is shown with its seed and the command that repeats it.

    scripts/soak.py --kind audiences --questions 10000 --store weaviate --jobs 3
    scripts/soak.py --kind turns --questions 10000 --database postgres --jobs 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot import logs
from knowledge.stores.registry import STORES
from scripts.soak_audiences import ApiSoak, AudienceSoak
from scripts.soak_leaders import LeadersSoak
from scripts.soak_migrations import MigrationsSoak
from scripts.soak_turns import RollingSoak, TurnsSoak

Kind = AudienceSoak | LeadersSoak | MigrationsSoak | TurnsSoak
KINDS: Mapping[str, type[Kind]] = {
    "api": ApiSoak,
    "audiences": AudienceSoak,
    "leaders": LeadersSoak,
    "migrations": MigrationsSoak,
    "rolling": RollingSoak,
    "turns": TurnsSoak,
}


def read_commit() -> str:
    """Return the commit, so that results of other code do not count."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607


class Soak:
    """Runs worlds, some at a time, and writes a line for each."""

    def __init__(self, arguments: argparse.Namespace, kind: Kind) -> None:
        self._arguments = arguments
        self._kind = kind
        self._slots = asyncio.Semaphore(arguments.jobs)
        self._ends = time.monotonic() + 60 * arguments.minutes
        self._key = {"kind": arguments.kind, "store": kind.place, "commit": read_commit()}

    def load_results(self) -> dict[int, dict[str, Any]]:
        """Return the results of earlier runs of this code with this store, by seed."""
        path = self._arguments.results
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return {row["seed"]: row for row in rows if row.items() >= self._key.items()}

    async def run(self) -> list[dict[str, Any]]:
        """Run the worlds that have no result yet; return all results."""
        done = {} if self._arguments.again else self.load_results()
        first = self._arguments.seed
        seeds = range(first, first + -(-self._arguments.questions // self._kind.world))
        await asyncio.gather(*(self._run_world(seed) for seed in seeds if seed not in done))
        return [row for seed, row in self.load_results().items() if seed in seeds]

    async def _run_world(self, seed: int) -> None:
        async with self._slots:
            if time.monotonic() > self._ends:
                return
            started = time.perf_counter()
            outcome: Any = await self._kind.run_world(seed)
            seconds = time.perf_counter() - started
            row = {"seed": seed, **self._key, "seconds": seconds}
            with self._arguments.results.open("a") as file:
                file.write(json.dumps(row | asdict(outcome)) + "\n")
            print(f"seed {seed}: {self._kind.format_figures(outcome)}, {seconds:.0f} s", flush=True)
            failures = self._kind.list_failures(outcome)
            for failure in failures:
                print(f"  {failure}", flush=True)
            if failures:
                print(f"  repeat it: {self._format_command(seed)}", flush=True)

    def _format_command(self, seed: int) -> str:
        options = self._kind.format_options()
        return f"scripts/soak.py {options} --again --questions {self._kind.world} --seed {seed}"


def add_results(total: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Add results to an empty outcome, and return it."""
    for row in rows:
        for name in asdict(total):
            setattr(total, name, getattr(total, name) + row[name])
    return total


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", choices=KINDS, default="audiences", help="what is compared")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first world")
    parser.add_argument("--store", choices=list(STORES), default="lancedb", help="of audiences and api")
    parser.add_argument(
        "--database",
        choices=["sqlite", "postgres", "pgbouncer"],
        default="sqlite",
        help="of turns, rolling and migrations",
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="migrations: rows of the manifest")
    parser.add_argument("--jobs", type=int, default=3, help="worlds at the same time; they mostly wait")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no world after so many minutes")
    parser.add_argument("--quick", action="store_true", help="audiences: without the changes that count after a minute")
    parser.add_argument("--again", action="store_true", help="run worlds again that have a result")
    parser.add_argument("--shorten", action="store_true", help="audiences: find a short history that still leaks")
    parser.add_argument("--keep", type=Path, help="turns: keep logs and messages of the worlds in this folder")
    parser.add_argument("--results", type=Path, default=Path("soak-results.jsonl"))
    return parser


def main() -> int:
    """Return 1 if a world failed."""
    arguments = build_parser().parse_args()
    started = time.perf_counter()
    with Path("soak.log").open("w") as log, KINDS[arguments.kind].open(arguments) as kind:
        logs.configure_logging(log)
        rows = asyncio.run(Soak(arguments, kind).run())
    total = add_results(kind.outcome(), rows)
    took = time.perf_counter() - started
    print(f"{kind.place}, {len(rows)} worlds: {kind.format_figures(total)}; this run took {took:.0f} s")
    return int(kind.has_failed(total))


if __name__ == "__main__":
    sys.exit(main())
