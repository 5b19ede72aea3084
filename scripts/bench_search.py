"""Time searches in the embedded store with 100,000 passages: by filter, by audience, joined, and for eight clients.

``bench_passages`` has the data. The time is that of ``HybridSearch.search`` with a manifest in memory, and the audience
classes in a real one. The question's embedding is precomputed, and timed separately. The target is for a search with
each filter. Joining hits to readable passages has its own figure, because only an answer needs it. The cost of the
audience filter is measured in turns: each question for an audience, and for people who may read everything, without a
filter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.embedding import IDENTITY, find_calibration
from knowledge.interfaces import (
    Scope,
    Store,
    StoredChunk,
    Viewers,
)
from knowledge.lexical.terms import index_terms
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.sync.manifest.index_manifest import IndexManifest
from scripts.bench_passages import (
    ALL,
    AUDIENCES,
    DIMENSIONS,
    PER_DOCUMENT,
    UNLIMITED,
    BenchQuestion,
    FixedEmbedder,
    current,
    make_classes,
    make_clustered_vectors,
    make_passage,
    make_questions,
    make_scopes,
    make_texts,
    neighbours,
    open_manifest_index,
)
from scripts.eval_sets import open_cached_embedder

TARGET_P95_MS = 20.0
TARGET_EIGHT_P95_MS = 130.0
TARGET_AUDIENCE_P95_MS = 5.0


async def fill_store(store: Store, texts: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, float]:
    """Write all rows and build the indexes; return the seconds, with those of the terms separately."""
    terms_s = write_s = 0.0
    for start in range(0, len(texts), 5000):
        began_s = time.perf_counter()
        numbers = range(start, min(start + 5000, len(texts)))
        rows = [
            StoredChunk(
                make_passage(n, texts[n]),
                vectors[n],
                index_terms(texts[n]),
            )
            for n in numbers
        ]
        terms_s += time.perf_counter() - began_s
        began_s = time.perf_counter()
        await store.write(rows)
        write_s += time.perf_counter() - began_s
    began_s = time.perf_counter()
    await store.maintain()
    return {"terms_s": terms_s, "write_s": write_s, "maintain_s": time.perf_counter() - began_s}


async def time_questions(
    search: HybridSearch, questions: Sequence[BenchQuestion], figure: str, *, join: bool = False
) -> list[float]:
    """Return each question's time in milliseconds."""
    times = []
    for one in questions:
        start = time.perf_counter()
        await search.search(one.text, scope=make_scopes(one)[figure], join=join)
        times.append(1000 * (time.perf_counter() - start))
    return times


async def time_audiences(search: HybridSearch, questions: Sequence[BenchQuestion]) -> dict[str, Any]:
    """Return the times of searches for each audience and for people who may read everything, asked in turns.

    ``added_p95_ms`` is the difference of both.
    """
    figures: dict[str, Any] = {}
    for name, viewers in AUDIENCES.items():
        times: dict[Viewers, list[float]] = {viewers: [], UNLIMITED: []}
        for n, one in enumerate(questions):
            for audience in (viewers, UNLIMITED) if n % 2 else (UNLIMITED, viewers):
                start = time.perf_counter()
                await search.search(one.text, scope=Scope(ALL, audience))
                times[audience].append(1000 * (time.perf_counter() - start))
        filtered, free = quantiles(times[viewers]), quantiles(times[UNLIMITED])
        added = {f"added_{which}": round(filtered[which] - free[which], 2) for which in filtered}
        figures[name] = {**filtered, **added}
    return figures


async def time_class_list(index: IndexManifest, times: int = 100) -> list[float]:
    """Return the milliseconds of reading all audience classes from the manifest."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        await index.read_audiences()
        found.append(1000 * (time.perf_counter() - start))
    return found


async def time_clients(search: HybridSearch, questions: Sequence[BenchQuestion], count: int = 8) -> dict[str, float]:
    """Return questions a second, and quantiles of their times, for several clients at once."""
    start = time.perf_counter()
    each = (time_questions(search, questions[n::count], "search_filtered_by_readers") for n in range(count))
    times = [one for some in await asyncio.gather(*each) for one in some]
    return {"per_s": round(len(questions) / (time.perf_counter() - start), 1), **quantiles(times)}


async def compute_recall(
    store: LanceDBStore, vectors: NDArray[np.float32], questions: Sequence[BenchQuestion]
) -> float:
    """Return the share of the 20 nearest rows that the dense search finds."""
    shares = []
    for one in questions:
        exact = np.argpartition(-(vectors @ one.vector), 20)[:20]
        found = await store.find_candidates(one.vector, "", pool=20, scope=Scope(ALL))
        shares.append(len({c.chunk.id for c in found} & {f"id{n}" for n in exact}) / 20)
    return float(np.mean(shares))


def time_full_scan(vectors: NDArray[np.float32], questions: Sequence[BenchQuestion]) -> list[float]:
    """Return the milliseconds of comparing all vectors, as a yardstick of this machine."""
    times = []
    for one in questions:
        start = time.perf_counter()
        np.argpartition(-(vectors @ one.vector), 50)
        times.append(1000 * (time.perf_counter() - start))
    return times


async def time_embedding(questions: Sequence[BenchQuestion]) -> list[float]:
    """Return the milliseconds of embedding each question with the real embedder."""
    embedder = await open_cached_embedder()
    await embedder.embed_query("warm")
    times = []
    for one in questions:
        start = time.perf_counter()
        await embedder.embed_query(one.text)
        times.append(1000 * (time.perf_counter() - start))
    await embedder.close()
    return times


def quantiles(times: Sequence[float]) -> dict[str, float]:
    """Return p50 and p95."""
    return {"p50_ms": round(float(np.quantile(times, 0.5)), 2), "p95_ms": round(float(np.quantile(times, 0.95)), 2)}


async def measure_store(
    rows: int, count: int, seed: int, folder: Path, *, fill_only: bool = False, audiences_only: bool = False
) -> dict[str, Any]:
    """Fill a store if it is empty, and measure it; with ``audiences_only``, only what the filter of audiences costs."""
    texts, origin = make_texts(rows, random.Random(seed))
    vectors = make_clustered_vectors(rows, np.random.default_rng(seed))
    questions = make_questions(texts, vectors, count, seed + 1)
    store = LanceDBStore(folder)
    await store.open("kvasir_bench", DIMENSIONS)
    fill_times = {} if await store.count() == rows else await fill_store(store, texts, vectors)
    if fill_only:
        await store.close()
        return {"rows": rows, "fill": fill_times}

    async with open_manifest_index(folder, rows // PER_DOCUMENT) as index:
        search = HybridSearch(
            FixedEmbedder(questions),
            store,
            current,
            find_calibration(IDENTITY).search,
            neighbours=neighbours,
            classes=make_classes(index),
        )
        await time_questions(search, questions[: count // 10], "search")
        audiences = await time_audiences(search, questions)
        class_list = quantiles(await time_class_list(index))
        if audiences_only:
            await store.close()
            classes = len((await index.read_audiences()).rows)
            return {"rows": rows, "classes": classes, "class_list": class_list, "audiences": audiences}
        scopes = make_scopes(questions[0])
        figures = {figure: quantiles(await time_questions(search, questions, figure)) for figure in scopes}
        joined = quantiles(await time_questions(search, questions, "search_filtered_by_readers", join=True))
        clients = await time_clients(search, questions)
    result = {
        "rows": rows,
        "texts": origin,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "fill": {name: round(seconds, 1) for name, seconds in fill_times.items()} or "kept",
        **figures,
        "audiences": audiences,
        "class_list": class_list,
        "search_joined_to_passages": joined,
        "eight_clients": clients,
        "recall_at_20": round(await compute_recall(store, vectors, questions[:100]), 4),
        "yardstick_scan": quantiles(time_full_scan(vectors, questions[:200])),
        "embedding": quantiles(await time_embedding(questions[:200])),
        "disk_mb": round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    await store.close()
    return result


def add_part_options(parser: argparse.ArgumentParser) -> None:
    """Add options to fill the store in a run of its own, which may take minutes, and to measure less."""
    parser.add_argument("--folder", type=Path, help="keep the filled store here; one of so many rows is used as it is")
    parser.add_argument("--fill-only", action="store_true", help="fill the store in --folder and measure nothing")
    parser.add_argument("--audiences-only", action="store_true", help="measure only what the filter of audiences costs")


@contextlib.contextmanager
def open_data_folder(path: Path | None) -> Iterator[Path]:
    """Yield the given folder, or a temporary one."""
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def main() -> None:
    """Measure and print; the exit status is 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_part_options(parser)
    options = parser.parse_args()
    with open_data_folder(options.folder) as folder:
        result = asyncio.run(
            measure_store(
                options.rows,
                options.queries,
                options.seed,
                folder,
                fill_only=options.fill_only,
                audiences_only=options.audiences_only,
            )
        )
    if options.fill_only or options.audiences_only:
        print(json.dumps(result))
        return
    worst = max(one["p95_ms"] for name, one in result.items() if name == "search" or name.startswith("search_filtered"))
    result["targets_p95_ms"] = {
        "one client": TARGET_P95_MS,
        "eight clients": TARGET_EIGHT_P95_MS,
        "added by a channel of 5,000": TARGET_AUDIENCE_P95_MS,
    }
    added = result["audiences"]["for_a_channel_of_5000"]["added_p95_ms"]
    result["met"] = (
        worst <= TARGET_P95_MS
        and result["eight_clients"]["p95_ms"] <= TARGET_EIGHT_P95_MS
        and added <= TARGET_AUDIENCE_P95_MS
    )
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28} {value}")
    sys.exit(not result["met"])


if __name__ == "__main__":
    main()
