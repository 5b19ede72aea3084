"""Compare the rankings of all stores on the public question sets and on the documentation of Apache APISIX.

The embedded store is in a temporary folder, and each other store has a server of this script. Searches are as in the
product. ``nDCG`` is that of the first passage that answers, among ten, and ``beyond`` how far it is from that of the
embedded store. ``same`` is the share of the ten best that both have; ``first`` is how often both have the same best.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from knowledge.interfaces import Chunk, Embedder
from knowledge.stores.registry import STORES
from scripts.eval_documents import make_name_questions, read_questions
from scripts.eval_retrieval import FixedEmbedder, IndexSearch, load_documentation, open_filled_store, provide_store
from scripts.eval_sets import embed_once, folder_or_exit, load_question_sets, open_cached_embedder

SAME = 0.95
"""The least share of the ten best hits that another store has in common with the embedded one."""
BEYOND = 0.3
"""The most points of nDCG between them."""
EMBEDDED = next(iter(STORES))
DOCUMENTATION = "apisix"
SETS = ("xquad_en", "xquad_zh", "xquad_zh_en", "xquad_en_zh", "cmrc2018", DOCUMENTATION)


@dataclass(frozen=True, slots=True)
class ComparedSet:
    """Passages of one index, and questions with the ids of the passages that answer each."""

    name: str
    chunks: Sequence[Chunk]
    questions: Sequence[tuple[str, frozenset[str]]]


async def load_sets(folder: Path, embedder: Embedder, names: Sequence[str]) -> AsyncIterator[ComparedSet]:
    """Yield the public question sets of these names, and the documentation if it is named."""
    for one in load_question_sets(folder):
        if one.name not in names:
            continue
        chunks = [Chunk(id_, one.name, id_, "", "", text, None) for id_, text in one.passages.items()]
        yield ComparedSet(one.name, chunks, [(each.text, frozenset({each.passage})) for each in one.questions])
    if DOCUMENTATION in names:
        chunks = await load_documentation(folder / "apisix-docs", embedder.count_tokens)
        asked = [*read_questions("apisix_questions.jsonl"), *make_name_questions(folder / "apisix-docs")]
        ids = {
            path: {one.id for one in chunks if one.document.partition("/latest/")[2] == path}
            for path in {path for one in asked for path in one["relevant"]}
        }
        questions = [(one["question"], frozenset().union(*(ids[path] for path in one["relevant"]))) for one in asked]
        yield ComparedSet(DOCUMENTATION, chunks, questions)


async def compare_stores(
    compared: ComparedSet, embedder: Embedder, scratch: Path, kinds: Sequence[str], most: int
) -> dict[str, dict[str, float]]:
    """Return the figures of each store for a set, which is indexed as ``source`` of its chunks."""
    texts = [text for text, _ in compared.questions]
    passages = [one.searchable_text for one in compared.chunks]
    vectors = await embed_once(embedder, passages, questions=False, scratch=scratch)
    fixed = FixedEmbedder(embedder, texts, await embed_once(embedder, texts, questions=True, scratch=scratch))
    asked = compared.questions[:: max(1, len(texts) // most)]
    found: dict[str, list[list[str]]] = {}
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            async with open_filled_store(kind, compared.chunks, vectors, Path(folder)) as store:
                search = IndexSearch(store, fixed, compared.chunks[0].source)
                found[kind] = [[hit.id for hit in await search.hits(text)] for text, _ in asked]
    gains = {kind: 100 * np.array(list(map(compute_gain, ids, asked))).mean() for kind, ids in found.items()}
    result = {}
    for kind, ids in found.items():
        pairs = list(zip(found[EMBEDDED], ids, strict=True))
        result[kind] = {
            "questions": len(asked),
            "ndcg@10": round(gains[kind], 2),
            "beyond": round(gains[kind] - gains[EMBEDDED], 2),
            "same": round(float(np.mean([len({*a} & {*b}) / max(1, len(a), len(b)) for a, b in pairs])), 4),
            "first": round(float(np.mean([a[:1] == b[:1] for a, b in pairs])), 4),
        }
    return result


def compute_gain(ids: Sequence[str], question: tuple[str, frozenset[str]]) -> float:
    """Return the gain of the first passage that answers, 0.0 if none of ``ids`` does."""
    return next((1 / math.log2(place + 2) for place, id_ in enumerate(ids) if id_ in question[1]), 0.0)


async def measure_sets(options: argparse.Namespace, folder: Path, kinds: Sequence[str]) -> dict[str, Any]:
    """Compare the stores on the chosen sets, and print each set's figures as soon as it is done."""
    embedder = await open_cached_embedder()
    result = {}
    try:
        async for one in load_sets(folder, embedder, options.sets):
            print(f"{one.name}: {len(one.chunks)} passages …", file=sys.stderr, flush=True)
            result[one.name] = await compare_stores(one, embedder, options.scratch, kinds, options.most)
            if not options.json:
                print_figures(one.name, result[one.name])
    finally:
        await embedder.close()
    return result


def print_figures(name: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print a line for each store."""
    for kind, one in figures.items():
        scores = f"nDCG {one['ndcg@10']:6.2f} {one['beyond']:+6.2f}"
        agreed = f"same {one['same']:7.2%}  first {one['first']:7.2%}"
        print(f"{name:12} {kind:14} {one['questions']:5} questions  {scores}  {agreed}", flush=True)


def main() -> None:
    """Measure and print; the exit status is 1 if a store misses a target, 2 without the question sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval")
    parser.add_argument("--stores", nargs="+", choices=list(STORES), default=list(STORES), help="besides the embedded")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--most", type=int, default=10_000, help="questions of each set, evenly chosen")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    folder, kinds = folder_or_exit(), list(dict.fromkeys((EMBEDDED, *options.stores)))
    with contextlib.ExitStack() as servers:
        for kind in kinds:
            servers.enter_context(provide_store(kind))
        result = asyncio.run(measure_sets(options, folder, kinds))
    if options.json:
        print(json.dumps(result))
    every = [one for figures in result.values() for one in figures.values()]
    sys.exit(any(one["same"] < SAME or abs(one["beyond"]) > BEYOND for one in every))


if __name__ == "__main__":
    main()
