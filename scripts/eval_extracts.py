"""Measure how often an extract has the reference answer, when no model answers.

Each paragraph of the public question sets is one passage. The search is the product's, over a real store, and returns
as many passages as for an answer. ``held`` counts the questions for which one of these passages has a reference answer.
``shown`` is the share of them whose extract has it, ``words alone`` the same without the embedder. ``marked`` counts
extracts of the best passage with emphasised text, ``rightly`` the share of them in which it overlaps a reference
answer. The weights and word lists were chosen on ``xquad_en`` alone. Hits and vectors are stored in ``--scratch``, so
that a second run is quick.

    KVASIR_EVAL_DIR=… scripts/eval_extracts.py [--sets xquad_en,cmrc2018] [--misses 20] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.events import Passage
from bot.answering.extracts.extract import choose_extracts
from bot.answering.extracts.sentence_similarities import compare_sentences, order_passages
from bot.answering.limits import Limits
from bot.answering.markdown.citations import Numbering
from bot.answering.markdown.sentences import passage_sentences
from knowledge.embedding import find_calibration
from knowledge.interfaces import Chunk, Embedder, Vector
from scripts.eval_retrieval import FixedEmbedder, IndexSearch, open_filled_store
from scripts.eval_sets import (
    Question,
    QuestionSet,
    embed_once,
    folder_or_exit,
    load_question_sets,
    open_cached_embedder,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The extract for one question that the passages answer."""

    question: Question
    text: str
    words_alone: str
    sources: int
    first: tuple[bool, bool]
    """Whether the first passage is the question's own, before and after sentences were compared."""

    def holds(self, text: str) -> bool:
        """Return whether a text has a reference answer."""
        plain = text.replace("**", "").replace("\\[", "[")
        return any(answer in plain for answer in self.question.answers)

    @property
    def marked(self) -> list[str]:
        """Return the emphasised texts, except paths of sources."""
        return [
            found for line in self.text.splitlines() if line[:1] == ">" for found in re.findall(r"\*\*(.+?)\*\*", line)
        ]

    @property
    def marked_rightly(self) -> bool:
        """Whether an emphasised text overlaps a reference answer."""
        return any(one in answer or answer in one for one in self.marked for answer in self.question.answers)


async def search_passages(questions: QuestionSet, embedder: Embedder, scratch: Path) -> dict[str, list[str]]:
    """Return the ids of the hits of each question, best first."""
    limit = Limits().hits
    digest = hashlib.sha256("\x1f".join([embedder.identity, str(limit), *questions.passages.values()]).encode())
    cached_file = scratch / f"found-{questions.name}-{digest.hexdigest()[:16]}.json"
    if cached_file.is_file():
        found: dict[str, list[str]] = json.loads(cached_file.read_text("utf-8"))
        return found
    chunks = [Chunk(id_, questions.name, id_, "", "", text, None) for id_, text in questions.passages.items()]
    texts = [question.text for question in questions.questions]
    vectors = await embed_once(embedder, [one.text for one in chunks], questions=False, scratch=scratch)
    fixed = FixedEmbedder(embedder, texts, await embed_once(embedder, texts, questions=True, scratch=scratch))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        async with open_filled_store("lancedb", chunks, vectors, Path(folder)) as store:
            search = IndexSearch(store, fixed, questions.name)
            for one in questions.questions:
                found[one.id] = [hit.id for hit in (await search.hits(one.text))[:limit]]
    cached_file.write_text(json.dumps(found), "utf-8")
    return found


async def run_set(questions: QuestionSet, embedder: Embedder, scratch: Path) -> list[Outcome]:
    """Return the extracts of the questions whose hits have a reference answer."""
    found = await search_passages(questions, embedder, scratch)
    sentences = sorted({sentence for text in questions.passages.values() for sentence in passage_sentences(text)})
    rows = await embed_once(embedder, sentences, questions=False, scratch=scratch)
    vectors = dict(zip(sentences, rows, strict=True))
    texts = [one.text for one in questions.questions]
    asked = dict(zip(texts, await embed_once(embedder, texts, questions=True, scratch=scratch), strict=True))

    scale = find_calibration(embedder.identity).extract_scale

    async def compare(text: str, others: Sequence[str]) -> Vector:
        return np.array([vectors[other] @ asked[text] for other in others], np.float32) * scale

    outcomes = []
    for question in questions.questions:
        passages = [
            Passage(n, "", id_, "", "", None, questions.passages[id_]) for n, id_ in enumerate(found[question.id], 1)
        ]
        if not any(answer in passage.text for answer in question.answers for passage in passages):
            continue
        ordered, similar = order_passages(passages, await compare_sentences(question.text, passages, compare))
        text, chosen = choose_extracts(question.text, ordered, Numbering(), similar)
        words_alone, _ = choose_extracts(question.text, passages, Numbering())
        first = question.passage == passages[0].document, question.passage == ordered[0].document
        outcomes.append(Outcome(question, text, words_alone, len(chosen), first))
    return outcomes


def compute_figures(outcomes: Sequence[Outcome], questions: int) -> dict[str, float]:
    """Return the figures of one set; shares in percent."""
    marked = [one for one in outcomes if one.marked]
    return {
        "questions": questions,
        "held": len(outcomes),
        "shown": round(100 * fmean(one.holds(one.text) for one in outcomes), 1),
        "words_alone": round(100 * fmean(one.holds(one.words_alone) for one in outcomes), 1),
        "first": round(100 * fmean(one.first[0] for one in outcomes), 1),
        "first_compared": round(100 * fmean(one.first[1] for one in outcomes), 1),
        "sources": round(fmean(one.sources for one in outcomes), 2),
        "characters": round(fmean(len(one.text) for one in outcomes)),
        "marked": len(marked),
        "rightly": round(100 * fmean(one.marked_rightly for one in marked), 1) if marked else 0.0,
    }


async def measure_sets(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure the chosen sets."""
    embedder = await open_cached_embedder()
    options.scratch.mkdir(parents=True, exist_ok=True)
    result = {}
    for one in load_question_sets(folder):
        if options.sets and one.name not in options.sets.split(","):
            continue
        print(f"{one.name}: {len(one.questions)} questions …", file=sys.stderr, flush=True)
        outcomes = await run_set(one, embedder, options.scratch)
        result[one.name] = compute_figures(outcomes, len(one.questions))
        for missed in [outcome for outcome in outcomes if not outcome.holds(outcome.text)][: options.misses]:
            print(f"\n{missed.question.text}\n  wanted: {missed.question.answers}\n{missed.text}", file=sys.stderr)
    await embedder.close()
    return result


def print_table(result: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table for a person."""
    names = (
        "questions",
        "held",
        "shown",
        "words_alone",
        "first",
        "first_compared",
        "sources",
        "characters",
        "marked",
        "rightly",
    )
    print(f"{'set':14}" + "".join(f"{name:>15}" for name in names))
    for name, one in result.items():
        print(f"{name:14}" + "".join(f"{one[column]:15g}" for column in names))


def main() -> None:
    """Measure and print; the exit status is 2 without the question sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default="", help="names, separated by commas; all of them if left out")
    parser.add_argument(
        "--misses", type=int, default=0, help="print so many extracts that lack the answer, of each set"
    )
    parser.add_argument(
        "--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval", help="kept vectors"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = asyncio.run(measure_sets(folder_or_exit(), options))
    print(json.dumps(result)) if options.json else print_table(result)


if __name__ == "__main__":
    main()
