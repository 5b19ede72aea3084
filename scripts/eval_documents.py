"""Ask real questions to a real documentation, and count how often the right document is among the first five.

The second question is whether "I do not know" is right. The documents are those of Apache APISIX, in English and
Chinese, in one index, cut as in the product. The questions (``eval_data/apisix_questions.jsonl``) are written as people
ask, from headings, options and error messages. ``relevant`` names the documents that answer, without their language:
``hit@5`` counts a translation too, and ``own language`` counts only documents in the question's language.
``eval_data/apisix_unanswerable.jsonl`` has questions that these documents do not answer, many of them close to it. The
relevant documents were written down before any search. For three questions, documents were added that a search found
and that do answer (tables of options).

    KVASIR_EVAL_DIR=… scripts/eval_documents.py [--store weaviate] [--misses] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.interfaces import Hit
from knowledge.search.ranking.fusion import estimate_best_confidence
from knowledge.stores.registry import STORES
from scripts.eval_retrieval import (
    ANSWERABLE,
    FixedEmbedder,
    IndexSearch,
    load_documentation,
    open_filled_store,
    provide_store,
    threshold_errors,
)
from scripts.eval_sets import embed_once, folder_or_exit, open_cached_embedder

DATA = Path(__file__).parent / "eval_data"
FIRST = 5
BY_NAME = (
    ("en", "What does the {name} plugin do?"),
    ("en", "How do I enable {name} on a route?"),
    ("en", "{spaced} options"),
    ("zh", "{name} 插件是做什么的？"),
    ("zh", "如何在路由上启用 {name}？"),
)
"""Asked about each plugin with a page, which should come first."""
NAMED = "named-"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The hits of one question."""

    id: str
    lang: str
    question: str
    found: tuple[str, ...]
    """The documents of the first passages, with their language, best first."""
    relevant: frozenset[str]
    sure: float

    @property
    def even(self) -> bool:
        """Whether the question may be used for tuning."""
        return int(hashlib.sha256(self.id.encode()).hexdigest(), 16) % 2 == 0

    def hit(self, first: int = FIRST, *, own_language: bool = False) -> bool:
        """Whether one of the first passages is from a document that answers."""
        return any(
            path.partition("/latest/")[2] in self.relevant and (not own_language or path.startswith(self.lang))
            for path in self.found[:first]
        )


def make_name_questions(folder: Path) -> list[dict[str, Any]]:
    """Return questions that name a document."""
    names = sorted(path.stem for path in (folder / "en").rglob("plugins/*.md"))
    return [
        {
            "id": f"{NAMED}{name}-{n}",
            "lang": lang,
            "question": form.format(name=name, spaced=name.replace("-", " ")),
            "relevant": [f"plugins/{name}.md"],
        }
        for name in names
        for n, (lang, form) in enumerate(BY_NAME)
    ]


def read_questions(name: str) -> list[dict[str, Any]]:
    """Return the questions of one file."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


async def ask_all(kind: str, folder: Path, scratch: Path) -> list[Outcome]:
    """Ask all questions in one kind of store."""
    embedder = await open_cached_embedder()
    try:
        chunks = await load_documentation(folder / "apisix-docs", embedder.count_tokens)
        questions = [*read_questions("apisix_questions.jsonl"), *read_questions("apisix_unanswerable.jsonl")]
        questions += make_name_questions(folder / "apisix-docs")
        texts = [one["question"] for one in questions]
        vectors = await embed_once(embedder, [one.searchable_text for one in chunks], questions=False, scratch=scratch)
        fixed = FixedEmbedder(embedder, texts, await embed_once(embedder, texts, questions=True, scratch=scratch))
        with tempfile.TemporaryDirectory() as store_folder:
            async with open_filled_store(kind, chunks, vectors, Path(store_folder)) as store:
                search = IndexSearch(store, fixed, "apisix")
                return [_ask_question(one, await search.hits(one["question"])) for one in questions]
    finally:
        await embedder.close()


def _ask_question(question: Mapping[str, Any], hits: Sequence[Hit]) -> Outcome:
    return Outcome(
        question["id"],
        question["lang"],
        question["question"],
        tuple(hit.document for hit in hits),
        frozenset(question.get("relevant", ())),
        estimate_best_confidence(question["question"], hits),
    )


def compute_figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the hit rates of one part, and the errors of "I do not know" at each threshold."""
    answered = [one for one in outcomes if one.relevant]
    others = [one for one in outcomes if not one.relevant]
    count = len(answered) or 1
    return {
        "questions": len(answered),
        "hit@1": round(100 * sum(one.hit(1) for one in answered) / count, 1),
        "hit@5": round(100 * sum(one.hit() for one in answered) / count, 1),
        "hit@5 own language": round(100 * sum(one.hit(own_language=True) for one in answered) / count, 1),
        "unknown": threshold_errors([one.sure for one in answered], [one.sure for one in others]) if others else {},
    }


def split_parts(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Split by language and half; questions that name a document are parts of their own."""
    halves = {"even": lambda one: one.even, "odd": lambda one: not one.even, "whole": lambda _: True}
    written = [one for one in outcomes if not one.id.startswith(NAMED)]
    split = {
        f"{lang} {half}": [one for one in written if one.lang == lang and belongs(one)]
        for lang in ("en", "zh")
        for half, belongs in halves.items()
    }
    named = {
        f"{lang} named": [one for one in outcomes if one.lang == lang and one.id.startswith(NAMED)]
        for lang in ("en", "zh")
    }
    return split | named


def print_tables(result: Mapping[str, Any]) -> None:
    """Print tables for a person."""
    print(f"{'part':10}{'questions':>10}{'hit@1':>8}{'hit@5':>8}{'own language':>14}")
    for name, one in result["parts"].items():
        print(f"{name:10}{one['questions']:10}{one['hit@1']:8}{one['hit@5']:8}{one['hit@5 own language']:14}")
    print("\n'I do not know': share of answerable rejected / of unanswerable accepted, by threshold")
    for name, one in result["parts"].items():
        steps = (f"{t}: {e['false_reject']:.2f}/{e['false_accept']:.2f}" for t, e in one["unknown"].items())
        if one["unknown"]:
            print(f"{name:10}  " + "  ".join(steps))
    print(f"the product's threshold is {result['threshold']:g}")


def main() -> None:
    """Measure and print; the exit status is 2 without the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=list(STORES), default="lancedb")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval")
    parser.add_argument("--misses", action="store_true", help="name the questions whose document was not found")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    folder = folder_or_exit()
    with provide_store(options.store):
        outcomes = asyncio.run(ask_all(options.store, folder, options.scratch))
    result = {
        "store": options.store,
        "threshold": ANSWERABLE,
        "parts": {name: compute_figures(part) for name, part in split_parts(outcomes).items()},
    }
    print(json.dumps(result)) if options.json else print_tables(result)
    for one in outcomes if options.misses else ():
        if one.relevant and not one.hit():
            print(f"missed {one.id} {one.question}\n   {', '.join(one.found)}", file=sys.stderr)
        if not one.relevant and one.sure >= ANSWERABLE:
            print(f"accepted {one.sure:.2f} {one.id} {one.question}\n   {', '.join(one.found[:3])}", file=sys.stderr)


if __name__ == "__main__":
    main()
