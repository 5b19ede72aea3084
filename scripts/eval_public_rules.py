"""Ask 100 Chinese questions in people's own words about twelve laws and regulations for hospitals and banks.

``eval_data/public_rules_zh.jsonl`` has 80 questions with the article that answers and the words that must be shown,
and 20 that these rules do not answer: ``near`` ones ask for what a rule leaves to somebody else. All were written
before anything was measured, and nothing is tuned on them. A passage is right if it has the paragraph of the article
with these words. An extract is right if it shows the words from a right passage. ``rejected`` are answerable questions
of which the search is not sure, ``accepted`` unanswerable ones of which it is.

The rules have no copyright in China. They are read from KVASIR_EVAL_DIR/rules, which has the folders of
github.com/LawRefBook/Laws at 2f4c5c23716267af9dbebbbbd6cbbf732b101981:

    git -C CLONE archive 2f4c5c2 | tar x -C "$KVASIR_EVAL_DIR/rules"
    KVASIR_EVAL_DIR=… scripts/eval_public_rules.py [--misses] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.events import Passage
from bot.answering.extracts.extract import choose_extracts
from bot.answering.extracts.sentence_similarities import compare_sentences, order_passages
from bot.answering.limits import Limits
from bot.answering.markdown.citations import Numbering
from knowledge.chunking.chunker import chunk_document
from knowledge.embedding import find_calibration
from knowledge.interfaces import EVERYONE, Chunk, DocumentContent, Embedder, Vector
from knowledge.parsing import Parser
from knowledge.search.ranking.fusion import estimate_best_confidence
from scripts.eval_retrieval import (
    ANSWERABLE,
    FixedEmbedder,
    IndexSearch,
    RankedQuestion,
    open_filled_store,
    ranking_figures,
)
from scripts.eval_sets import Question, embed_once, open_cached_embedder

QUESTIONS = Path(__file__).parent / "eval_data" / "public_rules_zh.jsonl"
WHERE = "https://github.com/LawRefBook/Laws at 2f4c5c23716267af9dbebbbbd6cbbf732b101981"
RULES = {
    "行政法规/医疗事故处理条例(2002-04-04).md": "65de1d5d77f025b8a9409b9ddadb2e94114ec515dbd0895240e978e079e7e8ba",
    "行政法/医师法(2021-08-20).md": "d723910e7b5f026b2c59568f0cf9dbd81ec84341c42a04afe8d143a40fc401f6",
    "行政法规/护士条例(2020-03-27).md": "e26989160ec04a0adbd6700aaf5ea1f6d222d67ea8011c2bb5a4f68b6247c42a",
    "行政法/献血法(1997-12-29).md": "4ed74c9932bcb1f20f8d64487de3da79bc9f23fd0cce38b0f660b6cc3d1c38a1",
    "民法商法/商业银行法(2015-08-29).md": "bab214aaf06c1603707c44bec4387e98544087deffd6808dda1ba7cef21010d3",
    "行政法规/征信业管理条例(2013-01-21).md": "9dd0a501355bd5806499fa72496484ce6935edc54d494fa417152758125a49c6",
    "行政法规/储蓄管理条例(2011-01-08).md": "2a686e5d21f96fe2793d15e178852b3da987a36e7069767bb6a76293a886ad65",
    "行政法规/存款保险条例(2015-02-17).md": "bdec3e475967d56d206d87e12c6b2da456015a6d8a57a14cf182268d10f5ddb8",
    "行政法规/人民币管理条例(2018-03-19).md": "3d0d4f69336c3d9f72e7c52c88b2a2021291bfd9560f0c932ccfe699989a9aa5",
    "经济法/反洗钱法(2024-11-08).md": "14c46804fb33c85db09ad112b52dffb237879a51151e0d74a33ce2275e9f5170",
    "民法商法/消费者权益保护法(2013-10-25).md": "3d1687b11a74304ef2c732dc5bd629d3a51f6780f6729efd88a5768f548c5a56",
    "行政法/个人信息保护法(2021-08-20).md": "b7d506ba2351568cc1ed1e59b571775e1503000a8dac74f5b521611883abe6a6",
}
"""The file of each rule, and its SHA-256."""
_ARTICLE = re.compile(r"第[一二三四五六七八九十百]+条(?=\s)")


@dataclass(frozen=True)
class Outcome:
    """What was found and shown for one question."""

    question: str
    kind: str
    """ "answerable", "near" or "other"."""
    rank: int | None
    """The place of the first right passage among ten, from 1."""
    confidence: float
    is_shown: bool
    extract: str

    @property
    def is_sure(self) -> bool:
        """Whether the search is sure that a passage answers."""
        return self.confidence >= ANSWERABLE


def read_rules() -> dict[str, str]:
    """Return the texts of the rules by their files; end with 2 if one is missing or another one."""
    folder = Path(os.environ.get("KVASIR_EVAL_DIR", "")) / "rules"
    texts = {}
    for name, checksum in RULES.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
            print(f"This needs rules/{name} in KVASIR_EVAL_DIR, from {WHERE}\n    sha256 {checksum}", file=sys.stderr)
            sys.exit(2)
        texts[name] = path.read_text(encoding="utf-8")
    return texts


async def split_rules(texts: Mapping[str, str], embedder: Embedder) -> list[Chunk]:
    """Return the passages of the rules, cut as in the product."""
    parser, chunks = Parser(), list[Chunk]()
    for name, text in texts.items():
        parsed = await parser.parse(name, DocumentContent(text.encode(), "text/markdown", ""))
        chunks += chunk_document(
            parsed, source="rules", document_id=name, url=None, readers=EVERYONE, count_tokens=embedder.count_tokens
        )
    await parser.close()
    return chunks


def find_paragraphs(texts: Mapping[str, str], answer: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the files and paragraphs of an article that have the words of an answer."""
    for name, text in texts.items():
        article = ""
        for line in text.splitlines() if answer["rule"] in name else ():
            found = _ARTICLE.match(line)
            article = found[0] if found else article
            if article == answer["article"] and answer["words"] in line:
                yield name, line.strip()


async def ask_questions(texts: Mapping[str, str], embedder: Embedder, scratch: Path) -> list[Outcome]:
    """Return the outcome of each question."""
    chunks = await split_rules(texts, embedder)
    questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    asked_texts = [one["question"] for one in questions]
    vectors = await embed_once(embedder, [one.searchable_text for one in chunks], questions=False, scratch=scratch)
    asked = await embed_once(embedder, asked_texts, questions=True, scratch=scratch)
    by_text = dict(zip(asked_texts, asked, strict=True))
    scale = find_calibration(embedder.identity).extract_scale

    async def compare(text: str, others: Sequence[str]) -> Vector:
        return np.array(await embedder.embed_passages(others) @ by_text[text], np.float32) * scale

    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_filled_store("lancedb", chunks, vectors, Path(folder)) as store:
            search = IndexSearch(store, FixedEmbedder(embedder, asked_texts, asked), "rules")
            for one in questions:
                hits = await search.hits(one["question"])
                sure = estimate_best_confidence(one["question"], hits)
                right = [
                    (name, line, answer["words"])
                    for answer in one.get("answers", ())
                    for name, line in find_paragraphs(texts, answer)
                ]
                rank = next(
                    (
                        n
                        for n, hit in enumerate(hits, 1)
                        if any(hit.document == name and line in hit.text for name, line, _ in right)
                    ),
                    None,
                )
                passages = [
                    Passage(n, hit.source, hit.document, hit.title, hit.heading, None, hit.text)
                    for n, hit in enumerate(hits[: Limits().hits], 1)
                ]
                similar = await compare_sentences(one["question"], passages, compare)
                ordered, similar = order_passages(passages, similar)
                extract, chosen = choose_extracts(
                    one["question"], ordered, Numbering(), similar, is_sure=sure >= ANSWERABLE
                )
                plain = extract.replace("**", "")
                shown = any(
                    words in plain and any(passage.document == name and line in passage.text for passage in chosen)
                    for name, line, words in right
                )
                outcomes.append(
                    Outcome(one["question"], one.get("unanswerable", "answerable"), rank, sure, shown, extract)
                )
    return outcomes


def compute_figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return all figures; shares in percent."""
    answerable = [one for one in outcomes if one.kind == "answerable"]
    ranked = [RankedQuestion(Question("", one.question, ""), one.rank, one.confidence, 0.0) for one in answerable]
    count = len(answerable)
    figures: dict[str, Any] = {
        **ranking_figures(ranked),
        "rejected": round(100 * sum(not one.is_sure for one in answerable) / count, 1),
        "extract right": round(100 * sum(one.is_shown for one in answerable) / count, 1),
    }
    for kind in ("near", "other"):
        some = [one for one in outcomes if one.kind == kind]
        figures[f"accepted, {kind}"] = f"{sum(one.is_sure for one in some)} of {len(some)}"
    return figures


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Ask all questions, and print the failures if wanted."""
    texts = read_rules()
    embedder = await open_cached_embedder()
    options.scratch.mkdir(parents=True, exist_ok=True)
    outcomes = await ask_questions(texts, embedder, options.scratch)
    await embedder.close()
    for one in outcomes if options.misses else ():
        if one.kind == "answerable" and (one.rank != 1 or not one.is_shown or not one.is_sure):
            print(f"{one.question}  rank {one.rank}, {one.confidence:.2f}, shown {one.is_shown}", file=sys.stderr)
        if one.kind != "answerable" and one.is_sure:
            print(f"{one.question}  {one.kind}, accepted with {one.confidence:.2f}\n{one.extract}", file=sys.stderr)
    return compute_figures(outcomes)


def main() -> None:
    """Measure and print; the exit status is 2 without the rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true", help="print the questions that fail")
    parser.add_argument(
        "--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval", help="kept vectors"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    figures = asyncio.run(measure(options))
    if options.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        print("\n".join(f"{name:18} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
