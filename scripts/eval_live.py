"""Measure whether answers are found on web pages as well as in the documents.

Documents and questions are those of ``eval_documents.py``. Each question is asked three times. First the store has
every document. Then the documents that answer, and the nearest others, become five pages of the web. They are cut,
chosen and scored as in a live search. Last, these pages answer while the store is down. ``hit@5`` counts questions with
an answering passage among the first five. "I do not know" is right for the unanswerable questions only.

    KVASIR_EVAL_DIR=… scripts/eval_live.py
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.embedding import find_calibration
from knowledge.interfaces import WEB, Chunk, CurrentChunk, Hit, Matrix, Scope, WebOrigin
from knowledge.lexical.bm25 import choose_likeliest
from knowledge.lexical.terms import index_terms, query_terms
from knowledge.search.hybrid import HybridSearch
from knowledge.search.plan import plan_words
from knowledge.search.results import DocumentResults, make_empty_results
from knowledge.search.with_web import rank_with_web
from knowledge.web.live.live_web import MAX_PAGES, MAX_PASSAGES
from knowledge.web.live.web_passages import LivePage, PassageScore
from scripts.eval_documents import read_questions
from scripts.eval_retrieval import LISTED, FixedEmbedder, load_documentation, open_filled_store
from scripts.eval_sets import embed_once, folder_or_exit, open_cached_embedder

FIRST = 5
SCOPE = Scope(frozenset({"apisix"}))
ON = WebOrigin("apisix.example", None, datetime.now(UTC), stale=False)


@dataclass
class SplitStore:
    """All documents in one store, of which some can be hidden and become pages."""

    chunks: Sequence[Chunk]
    vectors: Matrix
    fixed: FixedEmbedder
    hidden: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.index = [index_terms(chunk.searchable_text) for chunk in self.chunks]
        self.places: dict[str, list[int]] = {}
        for place, chunk in enumerate(self.chunks):
            self.places.setdefault(chunk.document, []).append(place)
        self.document = {chunk.id: chunk.document for chunk in self.chunks}

    async def current(self, ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        """Return the current passages: those of documents that are not pages."""
        return {id_: LISTED for id_ in ids if self.document[id_] not in self.hidden}

    async def page(self, document: str, question: str) -> LivePage:
        """Return a document as a page."""
        places = self.places[document]
        vector = await self.fixed.embed_query(question)
        chunks = tuple(
            Chunk(f"web {self.chunks[place].id}", WEB, document, one.title, one.heading, one.text, None)
            for place in places
            for one in [self.chunks[place]]
        )
        index = [self.index[place] for place in places]
        measured = {
            n: PassageScore(float(self.vectors[places[n]] @ vector), index[n])
            for n in choose_likeliest(index, query_terms(question).split(), MAX_PASSAGES)
        }
        return LivePage(document, ON, chunks, measured, is_linked=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of one question: with all documents, with pages, and with pages alone."""

    lang: str
    answered: bool
    hits: tuple[bool, ...]
    sure: tuple[bool, ...]


def hit(hits: Iterable[Hit], relevant: Collection[str]) -> bool:
    """Return whether an answering passage is among the first."""
    return any(one.document.partition("/latest/")[2] in relevant for one in list(hits)[:FIRST])


def choose_web_documents(
    results: DocumentResults, split: SplitStore, one: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Return the documents that become pages, and all documents that answer."""
    answering = [name for name in split.places if name.partition("/latest/")[2] in one.get("relevant", ())]
    here = [name for name in answering if name.startswith(one["lang"])] or answering
    near = list(dict.fromkeys(scored.candidate.chunk.document for scored in results.ranked_hits))
    return list(dict.fromkeys([*here[:MAX_PAGES], *near]))[:MAX_PAGES], answering


async def ask_both_ways(search: HybridSearch, split: SplitStore, one: Mapping[str, Any]) -> Outcome:
    """Ask one question in all three ways."""
    text, relevant = one["question"], one.get("relevant", ())
    split.hidden = set()
    results = await search.find_documents(plan_words(text, SCOPE))
    alone = results.make_hits()
    names, answering = choose_web_documents(results, split, one)
    split.hidden = {*names, *answering}
    together = await search.find_documents(plan_words(text, SCOPE))
    pages = [await split.page(name, text) for name in names]
    nothing = make_empty_results(results.question.plan, results.question.profile.calibration)
    both, pages_alone = rank_with_web(together, pages), rank_with_web(nothing, pages)
    return Outcome(
        one["lang"],
        bool(relevant),
        tuple(hit(hits, relevant) for hits in (alone, both[0], pages_alone[0])),
        (results.is_answered_by(alone), both[1], pages_alone[1]),
    )


async def main() -> None:
    """Measure and print; the exit status is 2 without the documents."""
    folder = folder_or_exit()
    scratch = Path(tempfile.gettempdir()) / "kvasir-eval"
    embedder = await open_cached_embedder()
    questions = [*read_questions("apisix_questions.jsonl"), *read_questions("apisix_unanswerable.jsonl")]
    try:
        chunks = await load_documentation(folder / "apisix-docs", embedder.count_tokens)
        vectors = await embed_once(embedder, [one.searchable_text for one in chunks], questions=False, scratch=scratch)
        texts = [one["question"] for one in questions]
        fixed = FixedEmbedder(embedder, texts, await embed_once(embedder, texts, questions=True, scratch=scratch))
        split = SplitStore(chunks, vectors, fixed)
        with tempfile.TemporaryDirectory() as store_folder:
            async with open_filled_store("lancedb", chunks, vectors, Path(store_folder)) as store:
                search = HybridSearch(fixed, store, split.current, find_calibration(fixed.identity).search)
                outcomes = [await ask_both_ways(search, split, one) for one in questions]
    finally:
        await embedder.close()
    for lang in ("en", "zh"):
        print_figures(lang, [one for one in outcomes if one.lang == lang])


def print_figures(lang: str, outcomes: Sequence[Outcome]) -> None:
    """Print one language's figures."""
    answered = [one for one in outcomes if one.answered]
    others = [one for one in outcomes if not one.answered]
    for way, name in enumerate(("in the store", "on the web", "on the web, the store down")):
        print(
            f"{lang}, {name}: hit@{FIRST} {compute_share(one.hits[way] for one in answered)} % of {len(answered)}, "
            f"rejected {compute_share(not one.sure[way] for one in answered)} %; "
            f"of {len(others)} that nothing answers accepted {compute_share(one.sure[way] for one in others)} %"
        )


def compute_share(flags: Iterable[bool]) -> float:
    """Return the percentage of true values."""
    found = list(flags)
    return round(100 * sum(found) / (len(found) or 1), 1)


if __name__ == "__main__":
    asyncio.run(main())
