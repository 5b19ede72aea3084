"""Measure the resident memory of the bot's process over thousands of turns.

Slack is ``scripts/bench_slack.py``, in a process of its own, and the engine has its 600 chunks at once. Every question
opens a thread. With ``--knowledge`` the answers come from a real library and are verified; otherwise from one passage.

    scripts/bench_memory.py [--turns N] [--every N] [--knowledge]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.answer import Answerer
from scripts.bench_answer import QuotingEngine
from scripts.bench_slack import run_slack
from scripts.bench_turns import (
    ask,
    create_answerer,
    create_real_answerer,
    open_knowledge,
    run_kvasir,
)

FIRST = 1_000
"""Turns after which the memory is compared."""


@contextlib.asynccontextmanager
async def open_answerer(*, knowledge: bool) -> AsyncIterator[Answerer]:
    """Open the answerer, with a library or without."""
    if not knowledge:
        yield create_answerer(QuotingEngine())
        return
    async with open_knowledge() as library:
        yield create_real_answerer(library, QuotingEngine())


def count_objects() -> Counter[str]:
    """Return how many objects of each type the garbage collector knows."""
    gc.collect()
    return Counter(type(one).__name__ for one in gc.get_objects())


async def measure_memory(turns: int, every: int, *, knowledge: bool) -> None:
    """Print the memory at intervals, and at the end the growth since the first turns."""
    process = psutil.Process()
    base_mb, objects = 0.0, Counter[str]()
    async with open_answerer(knowledge=knowledge) as answerer, run_slack() as url, run_kvasir(url, answerer):
        for done in range(every, turns + 1, every):
            await ask(url, every)
            rss_mb = process.memory_info().rss / 1e6
            if done == FIRST:
                base_mb, objects = rss_mb, count_objects()
            growth = f", {rss_mb - base_mb:+.1f} MB" if base_mb else ""
            print(f"{done} turns: {rss_mb:.1f} MB{growth}", flush=True)
        grown = count_objects() - objects
    print("objects that are more than after the first turns:", dict(grown.most_common(8)))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--knowledge", action="store_true")
    options = parser.parse_args()
    with Path("soak.log").open("w") as log:
        logs.configure_logging(log)
        asyncio.run(measure_memory(options.turns, options.every, knowledge=options.knowledge))


if __name__ == "__main__":
    main()
