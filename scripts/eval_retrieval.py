"""Measure retrieval on five public sets over a real store, and when 'I do not know' is right.

Each paragraph is one passage, and ranks are those of ``HybridSearch`` as in the product. A question counts as
unanswerable if its paragraph is hidden, which is the hardest kind, because the rest of the article stays. So does one
of ``eval_questions.json`` that the documentation of Apache APISIX does not answer. Ranking was tuned, and the weights
of the confidence were fitted, on the questions whose sha256(id) is even. The form of the confidence was chosen on both
halves.

The embedded store is in a temporary folder. ``--store weaviate`` uses the server of WEAVIATE_URL, WEAVIATE_GRPC_URL and
WEAVIATE_API_KEY, in collections that are dropped afterwards; without them it starts a server. So do the other stores.
KVASIR_EMBEDDER_… name another embedder, whose constants are converted as by ``kvasir calibrate``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from bot.config.environment import read_environment, read_store
from knowledge.chunking.blocks import CountTokens
from knowledge.chunking.chunker import chunk_document
from knowledge.embedding import IDENTITY, find_calibration
from knowledge.embedding.calibration import UNCALIBRATED, SearchCalibration
from knowledge.embedding.fitting import fit_calibration
from knowledge.errors import IndexLost, StoreUnavailable
from knowledge.interfaces import (
    EVERYONE,
    Chunk,
    CurrentChunk,
    DocumentContent,
    Embedder,
    Hit,
    Matrix,
    Scope,
    Store,
    StoredChunk,
    Vector,
)
from knowledge.lexical.terms import index_terms
from knowledge.parsing import Parser
from knowledge.search.hybrid import Breadth, HybridSearch
from knowledge.search.plan import QueryPlan
from knowledge.search.ranking.fusion import estimate_best_confidence
from knowledge.search.results import DocumentResults
from knowledge.settings import KnowledgeSettings
from knowledge.stores.registry import STORES, make_store
from scripts.eval_sets import (
    Question,
    QuestionSet,
    embed_once,
    folder_or_exit,
    load_question_sets,
    open_cached_embedder,
)
from tests.store_servers import store_server

ANSWERABLE = find_calibration(IDENTITY).search.answerable
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
LISTED = CurrentChunk("eval", EVERYONE, datetime.now(UTC))


class FixedEmbedder:
    """An embedder with precomputed vectors."""

    def __init__(self, embedder: Embedder, texts: Sequence[str], vectors: Matrix) -> None:
        self.identity, self.dimensions = embedder.identity, embedder.dimensions
        self.count_tokens = embedder.count_tokens
        self.embed_passages = embedder.embed_passages
        self._vectors = {text.strip(): vector for text, vector in zip(texts, vectors, strict=True)}

    async def embed_query(self, text: str) -> Vector:
        """Return the question's vector."""
        return self._vectors[text]


@dataclass
class IndexSearch:
    """A search over one index in which some passages can be hidden, as by the manifest."""

    store: Store
    embedder: FixedEmbedder
    source: str
    hidden: set[str] = field(default_factory=set)
    calibration: SearchCalibration | None = None

    def __post_init__(self) -> None:
        calibration = self.calibration or find_calibration(self.embedder.identity).search
        self._search = HybridSearch(
            self.embedder, self.store, self._current, calibration, breadth=Breadth(per_document=10)
        )

    async def _current(self, ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        return {id_: LISTED for id_ in ids if id_ not in self.hidden}

    async def ask(self, text: str, hidden: Iterable[str] = ()) -> tuple[list[str], float]:
        """Return the ten best ids, and the confidence that they answer."""
        self.hidden = set(hidden)
        hits = await self.hits(text)
        return [hit.id for hit in hits], estimate_best_confidence(text, hits)

    async def find(self, plan: QueryPlan) -> DocumentResults:
        """Return the best passages with all candidates."""
        return await self._search.find_documents(plan)

    async def hits(self, text: str) -> tuple[Hit, ...]:
        """Return the ten best passages."""
        return (await self._search.search(text, scope=Scope(frozenset({self.source})), limit=10)).hits


@dataclass(frozen=True, slots=True)
class RankedQuestion:
    """The result of one question; ``rank`` counts from 1, None beyond ten."""

    question: Question
    rank: int | None
    confidence: float
    confidence_without: float
    """The confidence for the same question with its passage hidden."""


# ── Stores ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def provide_store(kind: str) -> Iterator[None]:
    """Start the server of a store within this block, unless its variable names one."""
    if os.environ.get(STORES[kind].setting):
        yield
        return
    with tempfile.TemporaryDirectory() as folder, store_server(kind, Path(folder)) as variables:
        os.environ |= variables
        yield


@asynccontextmanager
async def open_filled_store(kind: str, chunks: Sequence[Chunk], vectors: Matrix, folder: Path) -> AsyncIterator[Store]:
    """Open a store of a kind with these rows, and drop them after this block."""
    others = {spec.setting for spec in STORES.values() if spec.name != kind}
    given = {name: value for name, value in os.environ.items() if name not in others}
    _, variables = read_store(read_environment({**given, "KVASIR_STORE": kind}))
    store = make_store(KnowledgeSettings(folder, folder, "", store=kind, store_variables=variables))
    index = f"kvasir_{uuid.uuid4().hex[:8]}"
    for _ in range(6):  # a server that has just started may be late
        await store.open(index, vectors.shape[1])
        with suppress(StoreUnavailable, IndexLost):
            await store.check()
            break
    try:
        rows = [
            StoredChunk(one, vector, index_terms(one.searchable_text))
            for one, vector in zip(chunks, vectors, strict=True)
        ]
        for start in range(0, len(rows), 2000):
            await store.write(rows[start : start + 2000])
        await store.maintain()
        yield store
    finally:
        await store.drop_index(index)
        await store.close()


async def run_set(
    kind: str,
    questions: QuestionSet,
    embedder: Embedder,
    scratch: Path,
    calibration: SearchCalibration | None = None,
) -> list[RankedQuestion]:
    """Ask all questions of one set, with their passage and without."""
    chunks = [Chunk(id_, questions.name, id_, "", "", text, None) for id_, text in questions.passages.items()]
    texts = [question.text for question in questions.questions]
    vectors = await embed_once(embedder, [one.text for one in chunks], questions=False, scratch=scratch)
    fixed = FixedEmbedder(embedder, texts, await embed_once(embedder, texts, questions=True, scratch=scratch))
    ranked = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_filled_store(kind, chunks, vectors, Path(folder)) as store:
            search = IndexSearch(store, fixed, questions.name, calibration=calibration)
            for one in questions.questions:
                ids, sure = await search.ask(one.text)
                _, without = await search.ask(one.text, [one.passage])
                ranked.append(
                    RankedQuestion(one, ids.index(one.passage) + 1 if one.passage in ids else None, sure, without)
                )
    return ranked


async def load_documentation(folder: Path, count_tokens: CountTokens) -> list[Chunk]:
    """Return the passages of Apache APISIX's documentation, cut as in the product."""
    parser, chunks = Parser(), []
    for path in sorted(folder.rglob("*.md")):
        name = path.relative_to(folder).as_posix()
        parsed = await parser.parse(name, DocumentContent(path.read_bytes(), "text/markdown", ""))
        chunks += chunk_document(
            parsed, source="apisix", document_id=name, url=None, readers=EVERYONE, count_tokens=count_tokens
        )
    await parser.close()
    return chunks


async def run_documentation(kind: str, folder: Path, embedder: Embedder, scratch: Path) -> dict[str, list[float]]:
    """Return the confidences of questions that the documentation answers, and of others."""
    chunks = await load_documentation(folder, embedder.count_tokens)
    written = json.loads((Path(__file__).parent / "eval_questions.json").read_text(encoding="utf-8"))
    texts = [*written["answerable"], *written["unanswerable"]]
    vectors = await embed_once(embedder, [one.searchable_text for one in chunks], questions=False, scratch=scratch)
    fixed = FixedEmbedder(embedder, texts, await embed_once(embedder, texts, questions=True, scratch=scratch))
    with tempfile.TemporaryDirectory() as store_folder:
        async with open_filled_store(kind, chunks, vectors, Path(store_folder)) as store:
            search = IndexSearch(store, fixed, "apisix")
            return {
                name: [(await search.ask(one))[1] for one in written[name]] for name in ("answerable", "unanswerable")
            }


# ── Measures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def ranking_figures(ranked: Sequence[RankedQuestion]) -> dict[str, float]:
    """Return nDCG@10, MRR@10 and recall, in percent; each question has one relevant passage."""
    ranks = [one.rank for one in ranked]
    count = len(ranks) or 1
    return {
        "questions": len(ranks),
        "ndcg@10": round(100 * sum(1 / math.log2(rank + 1) for rank in ranks if rank) / count, 2),
        "mrr@10": round(100 * sum(1 / rank for rank in ranks if rank) / count, 2),
        **{f"recall@{k}": round(100 * sum(1 for rank in ranks if rank and rank <= k) / count, 2) for k in (1, 5, 10)},
    }


def threshold_errors(answerable: Sequence[float], unanswerable: Sequence[float]) -> dict[str, dict[str, float]]:
    """Return for each threshold the shares of rejected answerable and accepted unanswerable questions."""
    return {
        f"{threshold:g}": {
            "false_reject": round(float(np.mean([sure < threshold for sure in answerable])), 3),
            "false_accept": round(float(np.mean([sure >= threshold for sure in unanswerable])), 3),
        }
        for threshold in sorted({*THRESHOLDS, ANSWERABLE})
    }


def measure_halves(ranked: Sequence[RankedQuestion]) -> dict[str, Any]:
    """Return all figures for the even half, the odd half and the whole."""
    parts = {
        "even": [one for one in ranked if one.question.even],
        "odd": [one for one in ranked if not one.question.even],
        "whole": list(ranked),
    }
    return {
        name: ranking_figures(part)
        | {"unknown": threshold_errors([one.confidence for one in part], [one.confidence_without for one in part])}
        for name, part in parts.items()
    }


async def measure_store(kind: str, folder: Path, scratch: Path, only: str | None = None) -> dict[str, Any]:
    """Measure one kind of store on all sets, or ``only`` on one of them."""
    embedder = await open_cached_embedder()
    calibration = find_calibration(embedder.identity)
    if calibration is UNCALIBRATED:
        calibration = await fit_calibration(embedder) or UNCALIBRATED
    start_s = time.perf_counter()
    sets = {}
    for one in load_question_sets(folder):
        if only not in {None, one.name}:
            continue
        print(f"{one.name}: {len(one.questions)} questions …", file=sys.stderr, flush=True)
        sets[one.name] = measure_halves(await run_set(kind, one, embedder, scratch, calibration.search))
    result: dict[str, Any] = {"store": kind, "threshold": ANSWERABLE, "sets": sets}
    if only is None and (folder / "apisix-docs").is_dir():
        print("documentation: embedding it the first time takes minutes …", file=sys.stderr, flush=True)
        sure = await run_documentation(kind, folder / "apisix-docs", embedder, scratch)
        result["documentation"] = threshold_errors(sure["answerable"], sure["unanswerable"])
    await embedder.close()
    return result | {"seconds": round(time.perf_counter() - start_s, 1)}


def print_tables(result: Mapping[str, Any]) -> None:
    """Print tables for a person."""
    print(f"store {result['store']}, {result['seconds']} s")
    print(f"{'set':14}{'half':7}{'questions':>10}{'nDCG@10':>9}{'MRR@10':>8}{'R@1':>7}{'R@5':>7}{'R@10':>7}")
    for name, parts in result["sets"].items():
        for half, one in parts.items():
            figures = f"{one['ndcg@10']:9.1f}{one['mrr@10']:8.1f}"
            recalls = "".join(f"{one[f'recall@{k}']:7.1f}" for k in (1, 5, 10))
            print(f"{name:14}{half:7}{one['questions']:10}{figures}{recalls}")
    print("\n'I do not know': share of answerable rejected / of unanswerable accepted, by threshold (odd half)")
    curves = {name: parts["odd"]["unknown"] for name, parts in result["sets"].items()}
    curves |= {"documentation": result["documentation"]} if "documentation" in result else {}
    for name, curve in curves.items():
        steps = (f"{t}: {one['false_reject']:.2f}/{one['false_accept']:.2f}" for t, one in curve.items())
        print(f"{name:14}  " + "  ".join(steps))
    print(f"the product's threshold is {result['threshold']:g}")


def main() -> None:
    """Measure and print; the exit status is 2 without the question sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=list(STORES), default="lancedb")
    parser.add_argument(
        "--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval", help="vectors, kept"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--set", help="only this one of the question sets, such as xquad_en")
    options = parser.parse_args()
    folder = folder_or_exit()
    with provide_store(options.store):
        result = asyncio.run(measure_store(options.store, folder, options.scratch, options.set))
    print(json.dumps(result)) if options.json else print_tables(result)


if __name__ == "__main__":
    main()
