"""Ask thousands of questions in random worlds, and compare all that Kvasir posts with an oracle of its own.

Each world has its seed, 100 questions, and as many presses of buttons. The results go to a file, a line for each
world, so an interrupted run of the same commit continues. Equal seeds make equal worlds. A failure is shown with its
seed and the command that repeats it, a leak also with a short history.

    scripts/soak.py --questions 10000 --store weaviate --jobs 3
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot import logs
from bot.errors import BotError
from knowledge.errors import KnowledgeError
from tests.services import weaviate_server
from tests.soak.history import Outcome, make_history, run_history
from tests.soak.model import Step
from tests.soak.shrink import shrink

WORLD = 100
"""Questions of a world."""
LEAST_FOUND = 0.99


def read_commit() -> str:
    """Return the commit, so that results of other code do not count."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607


@contextlib.contextmanager
def open_store(name: str) -> Iterator[Mapping[str, str]]:
    """Yield the variables that choose a store."""
    if name == "lancedb":
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder, weaviate_server(Path(folder)) as server:
        yield {"WEAVIATE_URL": server.url, "WEAVIATE_GRPC_URL": server.grpc_url, "WEAVIATE_API_KEY": server.api_key}


class Soak:
    """Runs worlds, some at a time, and writes a line for each."""

    def __init__(self, arguments: argparse.Namespace, store: Mapping[str, str]) -> None:
        self.arguments = arguments
        self.store = store
        self.slots = asyncio.Semaphore(arguments.jobs)
        self.commit = read_commit()

    def load_results(self) -> dict[int, dict[str, Any]]:
        """Return the results of earlier runs of this code with this store, by seed."""
        path = self.arguments.results
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return {
            row["seed"]: row for row in rows if (row["store"], row["commit"]) == (self.arguments.store, self.commit)
        }

    async def run(self) -> list[dict[str, Any]]:
        """Run the worlds that have no result yet; return all results."""
        done = {} if self.arguments.again else self.load_results()
        first = self.arguments.seed
        seeds = range(first, first + -(-self.arguments.questions // WORLD))
        await asyncio.gather(*(self._run_world(seed) for seed in seeds if seed not in done))
        return [row for seed, row in self.load_results().items() if seed in seeds]

    async def _run_world(self, seed: int) -> None:
        async with self.slots:
            steps, started = (
                make_history(seed, WORLD, presses=WORLD, late=not self.arguments.quick),
                time.perf_counter(),
            )
            outcome = await self._run_steps(seed, steps)
            seconds = time.perf_counter() - started
            row = {"seed": seed, "store": self.arguments.store, "commit": self.commit, "seconds": seconds}
            with self.arguments.results.open("a") as file:
                file.write(json.dumps(row | asdict(outcome)) + "\n")
            print(f"seed {seed}: {format_outcome(outcome)}, {seconds:.0f} s", flush=True)
            if outcome.leaks or outcome.silences or outcome.misses:
                print(f"  repeat it: {format_command(self.arguments, seed)}", flush=True)
            if outcome.leaks and self.arguments.shorten:
                await self._show_short(seed, steps)

    async def _run_steps(self, seed: int, steps: Sequence[Step], *, until_leak: bool = False) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            namespace = {"WEAVIATE_NAMESPACE": f"s{seed}n{time.time_ns()}"} if self.store else {}
            try:
                return await run_history(seed, steps, Path(folder), {**self.store, **namespace}, until_leak=until_leak)
            except (AssertionError, TimeoutError, BotError, KnowledgeError) as error:
                return Outcome(silences=[f"the world ended: {error!r:.2000}"])

    async def _show_short(self, seed: int, steps: Sequence[Step]) -> None:
        async def still_leaks(fewer: Sequence[Step]) -> bool:
            return bool((await self._run_steps(seed, fewer, until_leak=True)).leaks)

        for step in await shrink(steps, still_leaks):
            print(f"  {step}", flush=True)


def format_command(arguments: argparse.Namespace, seed: int) -> str:
    """Return the command that runs one world again."""
    quick = " --quick" if arguments.quick else ""
    return f"scripts/soak.py --again --shorten --questions {WORLD} --seed {seed} --store {arguments.store}{quick}"


def format_outcome(outcome: Outcome) -> str:
    """Return the figures of an outcome, and what failed."""
    asked = f"{outcome.questions} questions, {outcome.probes} probes, {outcome.found} of {outcome.allowed} found"
    lines = [f"{asked}, {len(outcome.leaks)} leaks, {len(outcome.silences)} silences"]
    lines += [f"  leak: {one}" for one in outcome.leaks[:5]]
    lines += [f"  miss: {one}" for one in outcome.misses[:5]]
    lines += [f"  silence: {one}" for one in outcome.silences[:5]]
    return "\n".join(lines)


def add_results(rows: Sequence[Mapping[str, Any]]) -> Outcome:
    """Return the sum of results."""
    total = Outcome()
    for row in rows:
        for name in asdict(total):
            setattr(total, name, getattr(total, name) + row[name])
    return total


def main() -> int:
    """Return 1 after a leak, a silence or too many misses."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first world")
    parser.add_argument("--store", choices=["lancedb", "weaviate"], default="lancedb")
    parser.add_argument("--jobs", type=int, default=3, help="worlds at the same time; they mostly wait for a minute")
    parser.add_argument("--quick", action="store_true", help="without the changes that count after a minute")
    parser.add_argument("--again", action="store_true", help="run worlds again that have a result")
    parser.add_argument("--shorten", action="store_true", help="find a short history that still leaks")
    parser.add_argument("--results", type=Path, default=Path("soak-results.jsonl"))
    arguments = parser.parse_args()
    started = time.perf_counter()
    with Path("soak.log").open("w") as log, open_store(arguments.store) as store:
        logs.configure_logging(log)
        rows = asyncio.run(Soak(arguments, store).run())
    total = add_results(rows)
    took = time.perf_counter() - started
    print(f"{arguments.store}, {len(rows)} worlds: {format_outcome(total)}; this run took {took:.0f} s")
    return 1 if total.leaks or total.silences or total.found < LEAST_FOUND * total.allowed else 0


if __name__ == "__main__":
    sys.exit(main())
