"""Compare the vectors of the embedded store with FAISS on the same generated passages: recall, time, size and updates.

``pip install faiss-cpu==1.15.1`` first: Kvasir does not need it. The passages are those of ``bench_scale.py``, whose
store in ``--folder`` is used if it is there. Both have an HNSW graph. The second search is among the passages that one
person may read. FAISS keeps whole vectors in memory and cannot delete from a graph, so an update there adds a passage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faiss
import lancedb
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.interfaces import Scope, may_read
from knowledge.stores.lancedb.rows import make_filter
from knowledge.stores.lancedb.store import LanceDBLimits, LanceDBStore
from scripts.bench_passages import DIMENSIONS
from scripts.bench_scale import INDEX, KEY, PERSON, STEP, Passages
from scripts.bench_search import quantiles
from scripts.eval_sets import find_cache

_NEAREST = 10
_BATCH = STEP // 2
"""The passages of ``bench_scale.py`` depend on how many it makes at once."""
_WIDTH = 150
_QUERIES = 300
_UPDATES = 1000
Search = Callable[[np.ndarray], Awaitable[list[int]]]


async def fill_store(folder: Path, passages: Passages, rows: int) -> Any:
    """Return the table of the embedded store, filled with passages."""
    store = LanceDBStore(folder, limits=LanceDBLimits(60.0, 3600.0, 36_000.0, build_s=36_000.0))
    await store.open(INDEX, DIMENSIONS)
    for start in range(await store.count(), rows, _BATCH):
        await store.write(passages.make_rows(range(start, min(start + _BATCH, rows))))
    await store.maintain()
    await store.close()
    return await (await lancedb.connect_async(str(folder))).open_table(INDEX)


async def time_searches(search: Search, queries: np.ndarray, exact: np.ndarray) -> str:
    taken, found = [], 0
    for query, nearest in zip(queries, exact, strict=True):
        began_s = time.perf_counter()
        rows = await search(query)
        taken.append(1000 * (time.perf_counter() - began_s))
        found += len(set(rows) & set(nearest.tolist()))
    return f"recall {found / exact.size:.1%}, milliseconds {quantiles(taken[len(taken) // 10 :])}"


async def measure(folder: Path, rows: int) -> None:
    """Fill both, and print what they find and what they cost."""
    passages = Passages(3000, 10)
    made = [
        row for start in range(0, rows, _BATCH) for row in passages.make_rows(range(start, min(start + _BATCH, rows)))
    ]
    vectors = np.asarray([row.vector for row in made], dtype=np.float32)
    readable = np.asarray(
        [number for number in range(rows) if may_read(PERSON, passages.choose_readers(number // 10))], dtype=np.int64
    )
    chosen = np.random.default_rng(7).integers(rows, size=_QUERIES)
    noise = np.random.default_rng(8).normal(scale=0.02, size=(_QUERIES, DIMENSIONS))
    queries = (vectors[chosen] + noise).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)

    table = await fill_store(folder / f"{rows}-3000-10" / "store", passages, rows)
    graph = faiss.IndexHNSWFlat(DIMENSIONS, 20, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 300
    began_s = time.perf_counter()
    graph.add(vectors)
    print(f"FAISS: built in {time.perf_counter() - began_s:.0f} s", flush=True)
    size_mb = len(faiss.serialize_index(graph)) / 1e6
    classes = frozenset(made[number].chunk.audience for number in readable)

    def ask_table(where: object) -> Search:
        async def search(query: np.ndarray) -> list[int]:
            asked = table.query().nearest_to(query).distance_type("cosine").select(["id", "_distance"])
            asked = asked.where(where) if where else asked
            return [int(row["id"]) for row in await asked.refine_factor(3).ef(_WIDTH).limit(_NEAREST).to_list()]

        return search

    def ask_graph(selector: Any) -> Search:
        options = faiss.SearchParametersHNSW(efSearch=_WIDTH, sel=selector)

        async def search(query: np.ndarray) -> list[int]:
            return [int(row) for row in graph.search(query[None], _NEAREST, params=options)[1][0]]

        return search

    chosen_rows = {"all": np.arange(rows), f"{len(readable):,} readable": readable}
    filters = (
        ("", None),
        (make_filter(Scope(frozenset({KEY.id}), PERSON, audiences=classes)), faiss.IDSelectorBatch(readable)),
    )
    for (name, allowed), (where, selector) in zip(chosen_rows.items(), filters, strict=True):
        exact = allowed[np.argsort(-(queries @ vectors[allowed].T), axis=1)[:, :_NEAREST]]
        print(f"{name}: embedded store, {await time_searches(ask_table(where), queries, exact)}", flush=True)
        print(f"{name}: FAISS, {await time_searches(ask_graph(selector), queries, exact)}", flush=True)
    began_s = time.perf_counter()
    graph.add(vectors[:_UPDATES])
    print(f"FAISS: {size_mb:.0f} MB in memory; {_UPDATES:,} more passages in {time.perf_counter() - began_s:.2f} s")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=find_cache() / "scale")
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    asyncio.run(measure(options.folder, options.rows))


if __name__ == "__main__":
    main()
