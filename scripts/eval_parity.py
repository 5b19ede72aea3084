"""Compare the rankings of both stores: every question of the public sets, and the ten best hits of each.

The embedded store is in a temporary folder, and Weaviate is a server of this script. Searches are as in the product.
``same`` is the share of the ten best that both have; ``first`` is how often both have the same best hit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from knowledge.interfaces import Chunk, Embedder
from scripts.eval_retrieval import FixedEmbedder, IndexSearch, open_filled_store
from scripts.eval_sets import QuestionSet, embed_once, folder_or_exit, load_question_sets, open_cached_embedder
from tests.services import weaviate_server

TARGET = 0.95
STORES = ("lancedb", "weaviate")


async def compare_rankings(questions: QuestionSet, embedder: Embedder, scratch: Path, most: int) -> dict[str, float]:
    """Return how far the ten best hits of both stores agree."""
    chunks = [Chunk(id_, questions.name, id_, "", "", text, None) for id_, text in questions.passages.items()]
    texts = [question.text for question in questions.questions]
    vectors = await embed_once(embedder, [one.text for one in chunks], questions=False, scratch=scratch)
    fixed = FixedEmbedder(embedder, texts, await embed_once(embedder, texts, questions=True, scratch=scratch))
    same, first = [], []
    async with contextlib.AsyncExitStack() as stack:
        searches = []
        for kind in STORES:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = await stack.enter_async_context(open_filled_store(kind, chunks, vectors, folder))
            searches.append(IndexSearch(store, fixed, questions.name))
        for text in texts[:: max(1, len(texts) // most)]:
            one, other = [[hit.id for hit in await search.hits(text)] for search in searches]
            same.append(len({*one} & {*other}) / max(1, len(one), len(other)))
            first.append(one[:1] == other[:1])
    return {"questions": len(same), "same": round(float(np.mean(same)), 4), "first": round(float(np.mean(first)), 4)}


async def measure_sets(folder: Path, scratch: Path, most: int) -> dict[str, dict[str, float]]:
    """Compare the stores on all sets."""
    embedder = await open_cached_embedder()
    try:
        return {one.name: await compare_rankings(one, embedder, scratch, most) for one in load_question_sets(folder)}
    finally:
        await embedder.close()


def main() -> None:
    """Measure and print; the exit status is 1 if a set misses the target, 2 without the question sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval")
    parser.add_argument("--most", type=int, default=10_000, help="questions of each set, evenly chosen")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    folder = folder_or_exit()
    with tempfile.TemporaryDirectory() as place, weaviate_server(Path(place)) as server:
        os.environ |= server.variables
        result = asyncio.run(measure_sets(folder, options.scratch, options.most))
    if options.json:
        print(json.dumps(result))
    else:
        for name, one in result.items():
            print(f"{name:14} {one['questions']:6} questions  same {one['same']:.2%}  first {one['first']:.2%}")
    sys.exit(any(one["same"] < TARGET for one in result.values()))


if __name__ == "__main__":
    main()
