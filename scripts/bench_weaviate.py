"""How quick a search on Weaviate is: 100,000 passages on a server of this script's own, one client and eight.

Texts and vectors are those of ``bench_search``; every question carries a filter on readers. What is timed is all of
``HybridSearch.search`` with a manifest in memory; the question's embedding is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from knowledge.interfaces import Current
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.weaviate import WeaviateStore
from scripts.bench_search import DIMENSIONS, Asked, Given, clustered, fill, passages, quantiles, questions, timed
from tests.services import WEAVIATE_VERSION, WeaviateServer, weaviate_server

TARGET_ONE_MS, TARGET_EIGHT_MS = 20.0, 60.0


async def at_once(search: HybridSearch, asked: Sequence[Asked], clients: int) -> list[float]:
    """Return the time of each question, in milliseconds, while so many clients ask without a pause."""
    parts = await asyncio.gather(*(timed(search, asked[n::clients], filtered=True) for n in range(clients)))
    return [one for part in parts for one in part]


async def measure(rows: int, count: int, seed: int, server: WeaviateServer) -> dict[str, Any]:
    """Fill a collection and measure it."""
    texts, origin = passages(rows, random.Random(seed))
    vectors = clustered(rows, np.random.default_rng(seed))
    asked = questions(texts, vectors, count, seed + 1)
    store = WeaviateStore(server.url, server.grpc_url, server.api_key)
    await store.open("kvasir_bench", DIMENSIONS)
    begun = time.perf_counter()
    await fill(store, texts, vectors, seed)  # type: ignore[arg-type] - any store
    filled = time.perf_counter() - begun

    async def current(ids: Collection[str]) -> Mapping[str, Current]:
        return {id_: Current("bench", everybody, now) for id_ in ids}

    now, everybody = datetime.now(UTC), frozenset({"*"})
    search = HybridSearch(Given(asked), store, current)
    await at_once(search, asked[: count // 5], 1)
    result = {
        "weaviate": WEAVIATE_VERSION,
        "rows": rows,
        "texts": origin,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "fill_s": round(filled, 1),
        "one_client": quantiles(await at_once(search, asked, 1)),
        "eight_clients": quantiles(await at_once(search, asked, 8)),
        "load_after": round(os.getloadavg()[0], 2),
    }
    await store.close()
    return result


def main() -> None:
    """Measure and print; the exit status is 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as folder, weaviate_server(Path(folder)) as server:
        result = asyncio.run(measure(options.rows, options.queries, options.seed, server))
    one, eight = result["one_client"]["p95_ms"], result["eight_clients"]["p95_ms"]
    result["target_p95_ms"] = [TARGET_ONE_MS, TARGET_EIGHT_MS]
    result["met"] = one <= TARGET_ONE_MS and eight <= TARGET_EIGHT_MS
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:16} {value}")
    sys.exit(not result["met"])


if __name__ == "__main__":
    main()
