"""Print what each step costs with 100,000 passages and with ten times as many, beside the bare store of the same run.

Vectors and words are generated, so that any number of passages can be made: ``--rows 100000,1000000``. A store stays in
``--folder``, and a second run measures it without building it again; a build that was interrupted goes on. A million
passages take an hour on two idle cores, and ten million take a day and about 40 GB. The store is LanceDB; the manifest
is SQLite, or the database of ``--database``.

With ``--audiences 0`` each document has an audience of its own, and with ``--per-document 1`` there are as many
documents as passages. "Bare" is a search of the store alone with the same filter, and "unfiltered" one without a
filter; they take turns with the whole search. With "sync", another task writes passages at the pace of an embedder, and
maintains the store, as a sync does. ``--manifest-only`` measures the manifest alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lancedb
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.embedding import IDENTITY, find_calibration
from knowledge.interfaces import (
    Chunk,
    CurrentChunk,
    ListedDocument,
    Scope,
    SourceKey,
    Store,
    StoredChunk,
    Viewers,
    make_class_key,
    number_readers,
)
from knowledge.search.access.audience_classes import AudienceClasses
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.lancedb.store import LanceDBLimits, LanceDBStore
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexedDocument, IndexIdentity, decode_readers, encode_readers
from knowledge.sync.manifest.rows import slice_items
from knowledge.sync.running.repair import repair_index
from knowledge.sync.running.shadow_index import plan_sync
from scripts.bench_passages import DIMENSIONS, BenchQuestion, FixedEmbedder, normalise
from scripts.bench_search import quantiles
from scripts.eval_sets import find_cache
from scripts.sync_bench import DiscardingStore

KEY = SourceKey("bench", "generated", "/bench")
INDEX = "kvasir_scale"
CLIENTS = 8
STEP = 10_000
BATCH = 128
PACE_S = 0.6  # of a batch, as an embedder on two cores
PERSON = Viewers.of({"*", "U1", *(f"C{n}" for n in range(0, 3000, 100))})


class Passages:
    """Generated passages, each by its number."""

    def __init__(self, audiences: int, per_document: int) -> None:
        self._audiences = audiences
        self.per_document = per_document
        rng = np.random.default_rng(1)
        self._common = normalise(rng.normal(size=(1, DIMENSIONS)))
        self._centres = normalise(rng.normal(size=(2000, DIMENSIONS)))

    def choose_readers(self, document: int) -> frozenset[str]:
        named = {"*"} if document % 3 == 0 else {f"C{document % (self._audiences or 3000)}", "C9999"}
        return frozenset(named if self._audiences else {*named, f"D{document}"})

    def make_rows(self, numbers: range) -> list[StoredChunk]:
        noise, words = np.random.default_rng(numbers.start), random.Random(numbers.start)
        own = normalise(noise.normal(size=(len(numbers), DIMENSIONS)))
        near = self._centres[noise.integers(2000, size=len(numbers))]
        vectors = normalise(0.86 * self._common + 0.38 * near + 0.33 * own)
        rows = []
        for number, vector in zip(numbers, vectors, strict=True):
            text = " ".join(f"w{int(words.paretovariate(0.6)) % 50_000}" for _ in range(60))
            document = number // self.per_document
            readers, heading = self.choose_readers(document), f"H{number % 7}"
            chunk = Chunk(
                f"{number:036}", KEY.id, f"{document}.md", "Title", heading, text, None, make_class_key(readers), "md",
                principals=number_readers(readers),
            )  # fmt: skip
            rows.append(StoredChunk(chunk, vector, text))
        return rows

    def make_documents(self, rows: Sequence[StoredChunk]) -> list[IndexedDocument]:
        return [
            IndexedDocument(
                ListedDocument(chunks[0].document, "1", readers=self.choose_readers(int(chunks[0].document[:-3]))),
                "1",
                f"{chunks[0].id:>064}",
                f"Title {chunks[0].id}",
                time.time() - 1e6,
                tuple(chunks),
            )
            for first in range(0, len(rows), self.per_document)
            for chunks in [[row.chunk for row in rows[first : first + self.per_document]]]
        ]


async def grow(store: Store, index: IndexManifest, passages: Passages, rows: int, step: int) -> dict[str, float]:
    """Write passages up to a number, and maintain the store after each step; return the seconds of each part."""
    spent = {"store": 0.0, "manifest": 0.0, "maintain": 0.0}
    first_missing = await index.count_chunks()
    for start in range(first_missing, rows, step):
        for first in range(start, min(start + step, rows), STEP // 2):
            made = passages.make_rows(range(first, min(first + STEP // 2, rows)))
            async with add_seconds(spent, "store"):
                await store.write(made)
            async with add_seconds(spent, "manifest"):
                for some in slice_items(passages.make_documents(made)):
                    await index.switch_documents(KEY, some)
        async with add_seconds(spent, "maintain"):
            await store.maintain()
        if start // step % 10 == 9:
            print(
                f"{start + step:>10,} passages", {name: round(seconds) for name, seconds in spent.items()}, flush=True
            )
    async with add_seconds(spent, "maintain"):
        await store.maintain()
    return {name: round(seconds, 1) for name, seconds in spent.items()}


@contextlib.asynccontextmanager
async def add_seconds(spent: dict[str, float], name: str) -> AsyncIterator[None]:
    began_s = time.perf_counter()
    yield
    spent[name] += time.perf_counter() - began_s


@contextlib.asynccontextmanager
async def run_sync(store: LanceDBStore, index: IndexManifest, passages: Passages, rows: int) -> AsyncIterator[None]:
    """Replace passages at the pace of an embedder within this block, and maintain the store beside it."""

    async def write() -> None:
        maintenance, written = None, 0
        while True:
            start = random.randrange(0, rows - BATCH) // passages.per_document * passages.per_document
            made = passages.make_rows(range(start, start + BATCH // passages.per_document * passages.per_document))
            await store.write(made)
            await index.switch_documents(KEY, passages.make_documents(made))
            written += len(made)
            if written >= STEP // 10 and (maintenance is None or maintenance.done()):
                maintenance, written = group.create_task(store.maintain()), 0
            await asyncio.sleep(PACE_S)

    async with asyncio.TaskGroup() as group:
        writer = group.create_task(write())
        try:
            yield
        finally:
            writer.cancel()


def open_search(store: LanceDBStore, index: IndexManifest, questions: Sequence[BenchQuestion]) -> HybridSearch:
    async def find_current(ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        found = await index.find_current(ids, [KEY.id])
        at = datetime.now(UTC)
        return {
            one.id: CurrentChunk("bench", decode_readers(one.readers), at, one.row, one.place, one.kind)
            for one in found
        }

    classes = make_classes(index)
    calibration = find_calibration(IDENTITY).search
    return HybridSearch(
        FixedEmbedder(questions), store, find_current, calibration, neighbours=index.find_neighbours, classes=classes
    )


def make_classes(index: IndexManifest) -> AudienceClasses:
    return AudienceClasses(
        index.read_audiences, lambda: index.database.writes, has_audiences=getattr(index, "has_audiences", None)
    )


def make_questions(passages: Passages, rows: int, count: int) -> list[BenchQuestion]:
    questions = []
    for number in range(count):
        [row] = passages.make_rows(range(start := random.Random(number).randrange(rows), start + 1))
        words = " ".join(random.Random(number).sample(row.terms.split(), 8))
        questions.append(BenchQuestion(f"{words} {number}", row.vector, PERSON))
    return questions


async def time_searches(
    store: LanceDBStore, index: IndexManifest, questions: Sequence[BenchQuestion], clients: int = 1
) -> dict[str, dict[str, float]]:
    """Return the times of whole searches, of the bare store, and of the store without a filter, in turns."""
    search, scope = open_search(store, index, questions), Scope(frozenset({KEY.id}), PERSON)
    narrow = await make_classes(index).narrow_scope(scope, store)
    calls: dict[str, Callable[[BenchQuestion], Awaitable[Any]]] = {
        "whole": lambda one: search.search(one.text, scope=scope),
        "bare": lambda one: store.find_candidates(one.vector, one.text, pool=50, scope=narrow),
        "unfiltered": lambda one: store.find_candidates(one.vector, one.text, pool=50, scope=scope),
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}

    async def ask(mine: Sequence[BenchQuestion]) -> None:
        for one in mine:
            for name, call in calls.items():
                began_s = time.perf_counter()
                await call(one)
                taken[name].append(1000 * (time.perf_counter() - began_s))

    await asyncio.gather(*(ask(questions[client::clients]) for client in range(clients)))
    return {name: quantiles(times[len(times) // 10 :]) for name, times in taken.items()}


async def measure_recall(table: Any, questions: Sequence[BenchQuestion], nearest: int = 10) -> float:
    """Return the share of the exactly nearest passages that the index finds; it compares every vector."""
    found = 0
    for one in questions:
        query = table.query().nearest_to(one.vector).distance_type("cosine").select(["id", "_distance"])
        exact = await query.bypass_vector_index().limit(nearest).to_list()
        query = table.query().nearest_to(one.vector).distance_type("cosine").select(["id", "_distance"])
        near = await query.refine_factor(3).ef(150).limit(50).to_list()
        found += len({row["id"] for row in exact} & {row["id"] for row in near})
    return round(found / (nearest * len(questions)), 4)


async def time_call(call: Callable[[], Awaitable[Any]], times: int = 20) -> float:
    """Return the median milliseconds of a call."""
    found = []
    for _ in range(times):
        began_s = time.perf_counter()
        await call()
        found.append(1000 * (time.perf_counter() - began_s))
    return round(float(np.median(found)), 2)


async def measure_manifest(index: IndexManifest) -> dict[str, float]:
    known = await index.read_audiences()
    readers = list(await index.count_audiences(KEY))
    ids = await index.list_chunk_ids(limit=50)
    one = encode_readers(frozenset({"C1", "C9999"}))
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "all audiences": index.read_audiences,
        "new audiences": lambda: index.read_audiences(known),
        "count_audiences": lambda: index.count_audiences(KEY),
        "count_source": lambda: index.count_source(KEY),
        "count_chunks": index.count_chunks,
        "find_current": lambda: index.find_current(ids, [KEY.id]),
        "find_neighbours": lambda: index.find_neighbours(ids[:8], 2),
        "titles of all": lambda: index.list_titles(KEY, readers, 100),
        "newest titles of all": lambda: index.list_titles(KEY, readers, 100, newest=True),
        "titles of one audience": lambda: index.list_titles(KEY, [one], 100),
        "headings": lambda: index.list_headings([KEY.id], 2000),
    }
    return {name: await time_call(call) for name, call in calls.items()}


async def measure_memory(work: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    """Return the seconds of some work, and its peak memory in a second run."""
    began_s = time.perf_counter()
    await work()
    seconds = time.perf_counter() - began_s
    tracemalloc.start()
    try:
        await work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return {"seconds": round(seconds, 2), "peak_mb": round(peak / 1e6, 1)}


async def measure_store(
    folder: Path, store: LanceDBStore, index: IndexManifest, passages: Passages, rows: int, count: int
) -> None:
    """Print the cost of searches and of a sync's steps."""
    table = await (await lancedb.connect_async(str(folder))).open_table(INDEX)
    stats = {one.columns[0]: await table.index_stats(one.name) for one in await table.list_indices()}
    print("parts of indexes", {name: one.num_indices for name, one in stats.items() if one is not None})
    questions = make_questions(passages, rows, count)
    print("recall of 10 nearest", await measure_recall(table, questions[:30]))
    print("search", await time_searches(store, index, questions), flush=True)
    print(f"search with {CLIENTS} clients", await time_searches(store, index, questions, CLIENTS))
    async with run_sync(store, index, passages, rows):
        print("search during a sync", await time_searches(store, index, questions))
        print(f"search with {CLIENTS} clients and a sync", await time_searches(store, index, questions, CLIENTS))
    await store.maintain()
    listing = {one.document: ListedDocument(one.document, one.version, readers=decode_readers(one.readers))
               for one in await index.list_documents(KEY)}  # fmt: skip
    now = time.time()
    print("plan", await measure_memory(
        lambda: plan_sync(index, KEY, listing, now=now, complete=True, trusted=True, approve=())
    ))  # fmt: skip
    print("comparison", await measure_memory(lambda: repair_index(store, index)))


async def measure(options: argparse.Namespace, rows: int) -> None:
    """Build a store unless it is in the folder, and print the cost of each step."""
    passages = Passages(options.audiences, options.per_document)
    name = f"{rows}-{options.audiences}-{options.per_document}"
    folder: Path = options.folder / (f"{name}-manifest" if options.manifest_only else name)
    folder.mkdir(parents=True, exist_ok=True)
    store = LanceDBStore(folder / "store", limits=LanceDBLimits(60.0, 3600.0, 36_000.0, build_s=36_000.0))
    await store.open(INDEX, DIMENSIONS)
    manifest = await open_manifest(options.database or f"sqlite:///{folder / 'manifest.db'}", answer_s=3600.0)
    try:
        index = manifest.open_index(await manifest.add_index(IndexIdentity("lancedb", name, "1", "1"), DIMENSIONS))
        print(f"── {rows:,} passages, {rows // options.per_document:,} documents ──")
        written = DiscardingStore() if options.manifest_only else store
        print("written in seconds", await grow(written, index, passages, rows, options.step), flush=True)
        for call, milliseconds in (await measure_manifest(index)).items():
            print(f"{call:<28}{milliseconds:>10} ms", flush=True)
        if not (options.manifest_only or options.build_only):
            await measure_store(folder / "store", store, index, passages, rows, options.questions)
    finally:
        await manifest.close()
        await store.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=lambda text: [int(one) for one in text.split(",")], default=[100_000, 1_000_000])
    parser.add_argument("--audiences", type=int, default=3000)
    parser.add_argument("--per-document", type=int, default=10, help="passages of each document")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--step", type=int, default=STEP, help="passages from one maintenance to the next")
    parser.add_argument("--manifest-only", action="store_true", help="generate no store")
    parser.add_argument("--build-only", action="store_true", help="generate the store for a later run")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database")
    parser.add_argument("--folder", type=Path, default=find_cache() / "scale", help="where the stores are kept")
    options = parser.parse_args()

    async def measure_all() -> None:
        for rows in options.rows:
            await measure(options, rows)

    asyncio.run(measure_all())


if __name__ == "__main__":
    main()
