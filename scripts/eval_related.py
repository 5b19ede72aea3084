"""Measure at which limit a question counts as related to a documentation (``fusion.is_related``).

The documents are those of Apache APISIX in both languages, in one index. The questions are those in own words that they
answer, those that they nearly answer, and those about other subjects (``eval_data/own_words``). For each limit, printed
is the share of questions that are related. Others get "I do not know".

    KVASIR_EVAL_DIR=… scripts/eval_related.py [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.interfaces import Scope
from knowledge.search.plan import plan_words
from knowledge.search.ranking.fusion import is_related
from knowledge.search.results import DocumentResults
from scripts import own_words
from scripts.eval_retrieval import FixedEmbedder, IndexSearch, load_documentation, open_filled_store
from scripts.eval_sets import embed_once, folder_or_exit, open_cached_embedder

STEPS = (-0.04, -0.02, -0.01, 0.0, 0.01, 0.02, 0.04)
"""What is added to both cosines of the calibration."""


def read_questions() -> list[dict[str, Any]]:
    """Return the questions, each with its part: answered, near or other."""
    questions = []
    for name in ("gateway_en", "gateway_zh", "other_subjects"):
        for question in own_words.read_questions(name):
            part = {None: "other", "none": "near"}.get(question.get("kind"), "answered")
            questions.append(question | {"part": part})
    return questions


def measure_limits(found: Sequence[tuple[Mapping[str, Any], DocumentResults]]) -> dict[str, dict[str, float]]:
    """Return the share of related questions in percent, by language and part, for each step."""
    shares: dict[str, dict[str, float]] = {}
    for step in STEPS:
        related: dict[str, list[bool]] = defaultdict(list)
        for question, results in found:
            profile = results.question.profile
            limits = profile.calibration.related
            shifted = replace(limits, cosine=limits.cosine + step, cjk=limits.cjk + step)
            moved = replace(profile, calibration=replace(profile.calibration, related=shifted))
            related[f"{question['lang']} {question['part']}"].append(is_related(results.usable, moved))
        shares[f"{step:+.2f}"] = {part: round(100 * sum(of) / len(of), 1) for part, of in sorted(related.items())}
    return shares


async def search_all(folder: Path, scratch: Path) -> list[tuple[Mapping[str, Any], DocumentResults]]:
    """Return the questions with what the search finds for them."""
    embedder = await open_cached_embedder()
    try:
        chunks = await load_documentation(folder / "apisix-docs", embedder.count_tokens)
        questions = read_questions()
        texts = [question["question"].strip() for question in questions]
        vectors = await embed_once(embedder, [one.searchable_text for one in chunks], questions=False, scratch=scratch)
        fixed = FixedEmbedder(embedder, texts, await embed_once(embedder, texts, questions=True, scratch=scratch))
        with tempfile.TemporaryDirectory() as store_folder:
            async with open_filled_store("lancedb", chunks, vectors, Path(store_folder)) as store:
                search = IndexSearch(store, fixed, "apisix")
                plans = [plan_words(text, Scope(frozenset({"apisix"})), limit=8) for text in texts]
                return [(one, await search.find(plan)) for one, plan in zip(questions, plans, strict=True)]
    finally:
        await embedder.close()


def main() -> None:
    """Measure and print; the exit status is 2 without the documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    shares = measure_limits(asyncio.run(search_all(folder_or_exit(), options.scratch)))
    if options.json:
        print(json.dumps(shares))
        return
    parts = list(next(iter(shares.values())))
    print(f"{'limit':8}" + "".join(f"{part:>14}" for part in parts))
    for step, of in shares.items():
        print(f"{step:8}" + "".join(f"{of[part]:14g}" for part in parts))


if __name__ == "__main__":
    main()
