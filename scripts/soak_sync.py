"""Kill syncs at random and replace documents during searches, on one store, and count errors, which must be 0.

``python scripts/soak_sync.py --rounds 100 --store lancedb --replacements 1000``; it starts a server for another store
than ``lancedb``. Each round changes documents or the configuration, kills the sync at a random step and checks what
searches find. Then it syncs again, and compares store and manifest row by row. ``--seed`` repeats a run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.stores.registry import STORES
from tests.store_servers import store_server
from tests.sync.running.killed_installation import SEAMS, Installation, Outcome, replaced


async def run_rounds(installation: Installation, count: int, dice: random.Random) -> bool:
    """Kill ``count`` syncs; print a line for each error, and the sums."""
    await installation.begin()
    began = time.monotonic()
    outcomes: list[Outcome] = []
    for number in range(1, count + 1):
        change, seams = dice.choice(list(SEAMS.items()))
        step, nth = f"{dice.choice(['before', 'after'])} {dice.choice(seams)}", dice.choice([1, 1, 2, 3])
        outcome = await installation.round(change, step, nth)
        outcomes.append(outcome)
        if not outcome.well or number % 10 == 0:
            print(f"{number:4d}  {change}, {step} ({nth})  {'well' if outcome.well else outcome}", flush=True)
    print(
        f"{count} rounds in {time.monotonic() - began:.0f} s: {sum(one.killed for one in outcomes)} killed, "
        f"{sum(len(one.gaps) for one in outcomes)} documents without an answer, "
        f"{sum(len(one.mixed) for one in outcomes)} mixed, {sum(one.drift for one in outcomes)} chunks of drift after "
        f"one run, {sum(len(one.left) for one in outcomes)} otherwise not put right"
    )
    return all(one.well for one in outcomes)


async def run_replacements(installation: Installation, count: int) -> bool:
    """Replace a document ``count`` times during searches; print what they showed."""
    began = time.monotonic()
    result = await replaced(installation, count)
    print(
        f"{count} replacements in {time.monotonic() - began:.0f} s: {result.searches} searches, {result.empty} empty, "
        f"{result.mixed} mixed, {result.versions} versions seen"
    )
    return not (result.empty or result.mixed)


async def main(options: argparse.Namespace) -> int:
    print(f"{options.store}, seed {options.seed}, load {os.getloadavg()[0]:.1f}")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kvasir-soak-")))
        (server_folder := folder / "server").mkdir()
        chosen = options.store, stack.enter_context(store_server(options.store, server_folder))
        well = True
        if options.rounds:
            installation = Installation(folder / "killed", *chosen)
            well = await run_rounds(installation, options.rounds, random.Random(options.seed))
        if options.replacements:
            well = await run_replacements(Installation(folder / "replaced", *chosen), options.replacements) and well
    return 0 if well else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--replacements", type=int, default=1000)
    parser.add_argument("--store", choices=list(STORES), default="lancedb")
    parser.add_argument("--seed", type=int, default=7)
    sys.exit(asyncio.run(main(parser.parse_args())))
