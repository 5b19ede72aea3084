"""Time searches on Weaviate: 100,000 passages on a server of this script, with one client and eight.

Texts, vectors and filters are those of ``bench_passages``, and the figures those of ``bench_search``. The time is that
of ``HybridSearch.search`` with a manifest in memory, the audience classes in a real one, and a precomputed embedding of
the question.
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

from knowledge.embedding import find_calibration
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.weaviate.store import WeaviateStore
from scripts.bench_passages import (
    DIMENSIONS,
    PER_DOCUMENT,
    FixedEmbedder,
    current,
    make_classes,
    make_clustered_vectors,
    make_questions,
    make_scopes,
    make_texts,
    open_manifest_index,
)
from scripts.bench_search import (
    add_part_options,
    fill_store,
    open_data_folder,
    quantiles,
    time_audiences,
    time_clients,
    time_questions,
)
from tests.services import WEAVIATE_VERSION, WeaviateServer, weaviate_server

TARGET_ONE_MS, TARGET_EIGHT_MS = 20.0, 60.0
FIGURE = "search_filtered_by_readers"


async def measure_weaviate(options: argparse.Namespace, server: WeaviateServer, folder: Path) -> dict[str, Any]:
    """Fill a collection if it is empty, and measure it, or only what the filter of audiences costs."""
    rows, count, seed = options.rows, options.queries, options.seed
    texts, origin = make_texts(rows, random.Random(seed))
    vectors = make_clustered_vectors(rows, np.random.default_rng(seed))
    questions = make_questions(texts, vectors, count, seed + 1)
    store = WeaviateStore(server.url, server.grpc_url, server.api_key)
    await store.open("kvasir_bench", DIMENSIONS)
    filled = {} if await store.count() == rows else await fill_store(store, texts, vectors)
    result: dict[str, Any] = {"weaviate": WEAVIATE_VERSION, "rows": rows, "texts": origin, "fill": filled or "kept"}
    if not options.fill_only:
        async with open_manifest_index(folder, rows // PER_DOCUMENT) as index:
            calibration, classes = find_calibration(FixedEmbedder.identity).search, make_classes(index)
            search = HybridSearch(FixedEmbedder(questions), store, current, calibration, classes=classes)
            await time_questions(search, questions[: count // 5], FIGURE)
            result |= {
                "cores": len(os.sched_getaffinity(0)),
                "load_before": round(os.getloadavg()[0], 2),
                "audiences": await time_audiences(search, questions),
            }
            if not options.audiences_only:
                for figure in make_scopes(questions[0]):
                    result[figure] = quantiles(await time_questions(search, questions, figure))
                result["eight_clients"] = await time_clients(search, questions)
    await store.close()
    return result


def main() -> None:
    """Measure and print; the exit status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_part_options(parser)
    options = parser.parse_args()
    with open_data_folder(options.folder) as folder, weaviate_server(folder) as server:
        result = asyncio.run(measure_weaviate(options, server, folder))
    if options.fill_only or options.audiences_only:
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
