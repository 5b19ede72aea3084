"""How quick a search on Weaviate is: 100,000 passages on a server of this script's own, one client and eight.

Texts, vectors, filters and figures are those of ``bench_search``; timed is all of ``HybridSearch.search``, with a
manifest in memory, and the question's embedding is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from knowledge.search.calibration import find_calibration
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.weaviate.store import WeaviateStore
from scripts.bench_search import (
    DIMENSIONS,
    Given,
    clients,
    clustered,
    current,
    data_folder,
    fill,
    kept_apart,
    passages,
    quantiles,
    questions,
    scopes,
    timed,
)
from tests.services import WEAVIATE_VERSION, WeaviateServer, weaviate_server

TARGET_ONE_MS, TARGET_EIGHT_MS = 20.0, 60.0
FIGURE = "search_filtered_by_readers"


async def measure(
    rows: int, count: int, seed: int, server: WeaviateServer, *, fill_only: bool = False
) -> dict[str, Any]:
    """Fill a collection, unless it is filled already, and measure it."""
    texts, origin = passages(rows, random.Random(seed))
    vectors = clustered(rows, np.random.default_rng(seed))
    asked = questions(texts, vectors, count, seed + 1)
    store = WeaviateStore(server.url, server.grpc_url, server.api_key)
    await store.open("kvasir_bench", DIMENSIONS)
    filled = {} if await store.count() == rows else await fill(store, texts, vectors, seed)
    result: dict[str, Any] = {"weaviate": WEAVIATE_VERSION, "rows": rows, "texts": origin, "fill": filled or "kept"}
    if not fill_only:
        search = HybridSearch(Given(asked), store, current, find_calibration(Given.identity))
        await timed(search, asked[: count // 5], FIGURE)
        result |= {
            "cores": len(os.sched_getaffinity(0)),
            "load_before": round(os.getloadavg()[0], 2),
            **{figure: quantiles(await timed(search, asked, figure)) for figure in scopes(asked[0])},
            "eight_clients": await clients(search, asked),
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
    kept_apart(parser)
    options = parser.parse_args()
    with data_folder(options.folder) as folder, weaviate_server(folder) as server:
        result = asyncio.run(measure(options.rows, options.queries, options.seed, server, fill_only=options.fill_only))
    if options.fill_only:
        print(json.dumps(result))
        return
    one = max(figures["p95_ms"] for name, figures in result.items() if name.startswith("search"))
    eight = result["eight_clients"]["p95_ms"]
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
