"""Time searches in the embedded store with 100,000 passages: by filter, joined, and for eight clients at once.

Texts are runs of shuffled sentences of the public sets if KVASIR_EVAL_DIR names them, else words that follow Zipf's
law. Vectors are synthetic clusters with cosines like the embedder's. The time is that of ``HybridSearch.search`` with a
manifest in memory; the question's embedding is precomputed, and timed separately. The target is for a search with each
filter. Joining hits to readable passages has its own figure, because only an answer needs it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.embedding import IDENTITY
from knowledge.interfaces import EVERYONE, Chunk, CurrentChunk, Matrix, Scope, Store, StoredChunk, Vector, Viewers
from knowledge.search.calibration import find_calibration
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.terms import index_terms
from scripts.eval_sets import PUBLISHED, open_cached_embedder

DIMENSIONS = 384
CHANNELS = 200
SOURCE = "bench"
TARGET_P95_MS = 20.0
TARGET_EIGHT_P95_MS = 130.0
KINDS = ("md", "md", "md", "html", "pdf", "docx")
PER_DOCUMENT = 20
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 1000
ALL = frozenset({SOURCE})


@dataclass(frozen=True, slots=True)
class BenchQuestion:
    """A question that a row answers."""

    text: str
    vector: Vector
    readers: frozenset[str]


class FixedEmbedder:
    """An embedder with precomputed vectors, so that its time does not count."""

    identity = IDENTITY
    dimensions = DIMENSIONS

    def __init__(self, questions: Sequence[BenchQuestion]) -> None:
        self._vectors = {one.text: one.vector for one in questions}

    async def embed_query(self, text: str) -> Vector:
        """Return the question's vector."""
        return self._vectors[text]

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        """Raise: rows have their vectors."""
        raise NotImplementedError(len(texts))

    def count_tokens(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())


# ── Data ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def load_sentences(rng: random.Random) -> tuple[list[str], str]:
    """Return sentences for passages, and their origin."""
    folder = os.environ.get("KVASIR_EVAL_DIR")
    if not folder or not all((Path(folder) / name).is_file() for name in PUBLISHED):
        words = [f"w{n}" for n in range(50_000)]
        weights = [1 / (n + 10) for n in range(50_000)]
        passages = [" ".join(rng.choices(words, weights, k=rng.randint(6, 30))) + "." for _ in range(20_000)]
        return passages, "generated words"
    texts = [
        paragraph["context"]
        for name in PUBLISHED
        for article in json.loads((Path(folder) / name).read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
    ]
    docs = sorted((Path(folder) / "apisix-docs").rglob("*.md"))
    texts += [path.read_text(encoding="utf-8", errors="replace") for path in docs]
    parts = [part.strip() for text in texts for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n\n+", text)]
    return [part for part in parts if 8 < len(part) < 1000], "xquad, cmrc2018 and apisix documents"


def make_texts(count: int, rng: random.Random) -> tuple[list[str], str]:
    """Return passages of about 800 characters, each a run of neighbouring sentences."""
    pool, origin = load_sentences(rng)
    passages = []
    for _ in range(count):
        start, text = rng.randrange(len(pool)), ""
        while len(text) < 500:
            text += (" " if text else "") + pool[start % len(pool)]
            start += rng.choice((1, 1, 1, 97))
        passages.append(text[:1500])
    return passages, origin


def make_clustered_vectors(count: int, rng: np.random.Generator, clusters: int = 2000) -> NDArray[np.float32]:
    """Return unit vectors whose cosines are about 0.75 at random and 0.9 within a cluster, as e5's are."""
    common = normalise(rng.normal(size=(1, DIMENSIONS)))
    centres = normalise(rng.normal(size=(clusters, DIMENSIONS)))
    own = normalise(rng.normal(size=(count, DIMENSIONS)))
    return normalise(0.86 * common + 0.38 * centres[rng.integers(clusters, size=count)] + 0.33 * own)


def normalise(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Return the vectors with length one."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def choose_readers(rng: random.Random) -> frozenset[str]:
    """Return a document's readers: everybody for a third of them, else some channels."""
    return EVERYONE if rng.random() < 0.33 else frozenset(f"C{rng.randrange(CHANNELS)}" for _ in range(2))


def make_passage(n: int, text: str, readers: frozenset[str]) -> Chunk:
    """Return a row's passage; twenty rows make a document with one kind and one day."""
    document = n // PER_DOCUMENT
    modified_at = FIRST_DAY + timedelta(days=document * 37 % DAYS)
    name = f"doc{document}.md"
    return Chunk(
        f"id{n}", SOURCE, name, "Title", "Heading", text, None, readers, KINDS[document % len(KINDS)], modified_at
    )


def make_manifest_row(number: int) -> CurrentChunk:
    """Return the manifest's row of a passage; everybody may read it."""
    of = make_passage(number, "", EVERYONE)
    return CurrentChunk("bench", EVERYONE, FIRST_DAY, number // PER_DOCUMENT, number, of.kind, of.modified_at)


async def current(ids: Collection[str]) -> Mapping[str, CurrentChunk]:
    """Answer in place of the manifest."""
    return {id_: make_manifest_row(int(id_.removeprefix("id"))) for id_ in ids}


async def neighbours(ids: Collection[str], reach: int) -> Mapping[str, tuple[Sequence[str], Sequence[str]]]:
    """Answer in place of the manifest."""
    near = {}
    for id_ in ids:
        place = int(id_.removeprefix("id"))
        first = place - place % PER_DOCUMENT
        line = [n for n in range(place - reach, place + reach + 1) if first <= n < first + PER_DOCUMENT]
        near[id_] = [f"id{n}" for n in line if n < place], [f"id{n}" for n in line if n > place]
    return near


def make_scopes(one: BenchQuestion) -> dict[str, Scope]:
    """Return the scopes of a question by the name of their figure."""
    return {
        "search": Scope(ALL),
        "search_filtered_by_readers": Scope(ALL, Viewers.of(one.readers)),
        "search_filtered_by_kind": Scope(ALL, Viewers.of(one.readers), kinds=frozenset({"pdf", "docx"})),
        "search_filtered_by_date": Scope(ALL, Viewers.of(one.readers), after=FIRST_DAY + timedelta(days=DAYS - 90)),
        "search_filtered_by_all": Scope(
            ALL,
            Viewers.of(one.readers),
            frozenset({"md", "html"}),
            FIRST_DAY + timedelta(days=100),
            FIRST_DAY + timedelta(days=700),
        ),
    }


def make_questions(texts: Sequence[str], vectors: NDArray[np.float32], count: int, seed: int) -> list[BenchQuestion]:
    """Return questions: each is a part of a row's text, with a vector near the row's."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    questions = []
    for n in range(count):
        row = rng.randrange(len(texts))
        start = rng.randrange(max(1, len(texts[row]) - 60))
        near = normalise((vectors[row] + 0.35 * normalise(noise.normal(size=(1, DIMENSIONS)))[0])[None])[0]
        questions.append(
            BenchQuestion(
                f"{texts[row][start : start + 60]} {n}".strip(), near, frozenset({f"C{rng.randrange(CHANNELS)}"})
            )
        )
    return questions


# ── Measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def fill_store(store: Store, texts: Sequence[str], vectors: NDArray[np.float32], seed: int) -> dict[str, float]:
    """Write all rows and build the indexes; return the seconds, with those of the terms separately."""
    rng = random.Random(seed)
    terms_s = write_s = 0.0
    for start in range(0, len(texts), 5000):
        began_s = time.perf_counter()
        numbers = range(start, min(start + 5000, len(texts)))
        rows = [
            StoredChunk(
                make_passage(n, texts[n], choose_readers(rng)),
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


async def time_clients(search: HybridSearch, questions: Sequence[BenchQuestion], count: int = 8) -> dict[str, float]:
    """Return questions a second, and quantiles of their times, for several clients at once."""
    start = time.perf_counter()
    each = (time_questions(search, questions[n::count], "search_filtered_by_readers") for n in range(count))
    times = [one for some in await asyncio.gather(*each) for one in some]
    return {"per_s": round(len(questions) / (time.perf_counter() - start), 1), **quantiles(times)}


async def compute_recall(
    store: LanceDBStore, vectors: NDArray[np.float32], questions: Sequence[BenchQuestion]
) -> float:
    """Return the share of the 20 nearest rows that the dense search finds among rows for everybody."""
    everyone = [frozenset(f"C{n}" for n in range(CHANNELS))]
    shares = []
    for one in questions:
        exact = np.argpartition(-(vectors @ one.vector), 20)[:20]
        found = await store.find_candidates(
            one.vector, "", pool=20, scope=Scope(frozenset({SOURCE}), frozenset(everyone[0]))
        )
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


async def measure_store(rows: int, count: int, seed: int, folder: Path, *, fill_only: bool = False) -> dict[str, Any]:
    """Fill a store if it is empty, and measure it."""
    texts, origin = make_texts(rows, random.Random(seed))
    vectors = make_clustered_vectors(rows, np.random.default_rng(seed))
    questions = make_questions(texts, vectors, count, seed + 1)
    store = LanceDBStore(folder)
    await store.open("kvasir_bench", DIMENSIONS)
    fill_times = {} if await store.count() == rows else await fill_store(store, texts, vectors, seed)
    if fill_only:
        await store.close()
        return {"rows": rows, "fill": fill_times}

    search = HybridSearch(FixedEmbedder(questions), store, current, find_calibration(IDENTITY), neighbours=neighbours)
    await time_questions(search, questions[: count // 10], "search")
    scopes = make_scopes(questions[0])
    figures = {figure: quantiles(await time_questions(search, questions, figure)) for figure in scopes}
    result = {
        "rows": rows,
        "texts": origin,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "fill": {name: round(seconds, 1) for name, seconds in fill_times.items()} or "kept",
        **figures,
        "search_joined_to_passages": quantiles(
            await time_questions(search, questions, "search_filtered_by_readers", join=True)
        ),
        "eight_clients": await time_clients(search, questions),
        "recall_at_20": round(await compute_recall(store, vectors, questions[:100]), 4),
        "yardstick_scan": quantiles(time_full_scan(vectors, questions[:200])),
        "embedding": quantiles(await time_embedding(questions[:200])),
        "disk_mb": round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    await store.close()
    return result


def add_folder_options(parser: argparse.ArgumentParser) -> None:
    """Add options to fill the store in a run of its own, which may take minutes."""
    parser.add_argument("--folder", type=Path, help="keep the filled store here; one of so many rows is used as it is")
    parser.add_argument("--fill-only", action="store_true", help="fill the store in --folder and measure nothing")


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
    add_folder_options(parser)
    options = parser.parse_args()
    with open_data_folder(options.folder) as folder:
        result = asyncio.run(
            measure_store(options.rows, options.queries, options.seed, folder, fill_only=options.fill_only)
        )
    if options.fill_only:
        print(json.dumps(result))
        return
    worst = max(one["p95_ms"] for name, one in result.items() if name == "search" or name.startswith("search_filtered"))
    result["targets_p95_ms"] = {"one client": TARGET_P95_MS, "eight clients": TARGET_EIGHT_P95_MS}
    result["met"] = worst <= TARGET_P95_MS and result["eight_clients"]["p95_ms"] <= TARGET_EIGHT_P95_MS
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28} {value}")
    sys.exit(not result["met"])


if __name__ == "__main__":
    main()
