"""Measure whether figures of annual reports are shown with their year and their unit.

Each table of TAT-QA with its paragraphs is one document, parsed and cut as in the product, and all are in one index.
The questions name no company, so each is asked within its own document. A *figure* is a question whose answers are
cells of the table; its year and its row are those of the cells. *Text* are the other questions with literal answers.
Questions that need arithmetic, counting or a comparison are left out. Columns:

    found    the hits that a model reads have all answers
    first    the first of them has
    shown    the extract, which people read without a model, has all answers; those of figures in the right rows
    year     … and the column's name in front of each value has its year, where the table has one
    unit     … and the same line names the unit (thousand, million, billion, per cent), where the document names it

Then the checker reads sentences made of the cells, "Total sales was $1,496.5 million in 2019", with the same hits.
``unmarked`` should be all of the true ones, and none of those with the year of another column, another unit, or the
value of another row.

Everything was tuned on ``dev``. ``test`` is for reporting.

    KVASIR_EVAL_DIR=… scripts/eval_reports.py [--part test] [--misses 20] [--json]
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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.events import Passage
from bot.answering.extracts.extract import choose_extracts
from bot.answering.extracts.sentence_similarities import compare_sentences, order_passages
from bot.answering.limits import Limits
from bot.answering.markdown.citations import Numbering
from bot.answering.support.checker import FeatureChecker
from bot.answering.support.embedding_cache import EmbeddingCache
from knowledge.chunking.chunker import chunk_document
from knowledge.embedding import find_calibration
from knowledge.interfaces import EVERYONE, Chunk, DocumentContent, Embedder, Vector
from knowledge.parsing import Parser
from knowledge.tables import describe_tables, format_row, is_table_row, split_row
from scripts.eval_retrieval import FixedEmbedder, IndexSearch, open_filled_store
from scripts.eval_sets import embed_once, open_cached_embedder

WHERE = "https://github.com/NExTplusplus/TAT-QA (dataset_raw, CC BY 4.0)"
PARTS = {
    "dev": ("tatqa_dataset_dev.json", "8da095a819af6db3c14877c6df2d4d29960e41d1a63dd1fa853507bd2a616af5"),
    "test": ("tatqa_dataset_test_gold.json", "c4d08418359c1d76468dec420ee748a37f48c06b63cb8ec2766f19d5d314b597"),
}
"""The file of each part below KVASIR_EVAL_DIR/tatqa, and its SHA-256."""
# A unit is named apart from a figure: "(in thousands)", "€m", but not "$13.0 million".
_CURRENCY = r"(?:[$€£]|\b(?:usd|eur|gbp|rmb|chf|dkk|sek|rs\.?))"
UNITS = {
    "thousand": re.compile(rf"(?<!\d )thousand|(?<![\d,])['’‘`]?000\b|{_CURRENCY} ?k\b", re.IGNORECASE),
    "million": re.compile(rf"(?<!\d )million|{_CURRENCY} ?mn?\b", re.IGNORECASE),
    "billion": re.compile(rf"(?<!\d )billion|{_CURRENCY} ?bn\b", re.IGNORECASE),
    "percent": re.compile(r"%|percent|per cent", re.IGNORECASE),
}
OTHER_UNIT = {"thousand": "million", "million": "thousand", "billion": "million"}
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_FOOTNOTE = re.compile(r"\s*\(\w{1,2}\)|(?<=[a-z)])\d$|[:*]+$")
_COUNTS = re.compile(r"\bin (?:thousands|millions|billions|000’s)|\$000's", re.IGNORECASE)
_ANNOUNCES = re.compile(r":$|following table|table below", re.IGNORECASE)
_VECTORS = 100_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table with a value."""

    row: int
    column: int


@dataclass(frozen=True)
class Report:
    """A table with its paragraphs."""

    name: str
    table: tuple[tuple[str, ...], ...]
    paragraphs: tuple[str, ...]

    @property
    def markdown(self) -> str:
        """Return the document: the table follows the paragraph that says what it counts in, or announces it, if any."""
        rows = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in self.table]
        rows.insert(1, "|" + " --- |" * len(self.table[0]))
        parts = list(self.paragraphs)
        announcing = (n for n, text in enumerate(parts, 1) if _ANNOUNCES.search(text))
        place = next((n for n, text in enumerate(parts, 1) if _COUNTS.search(text)), next(announcing, 0))
        return "\n\n".join([*parts[:place], "\n".join(rows), *parts[place:]])

    @cached_property
    def body(self) -> int:
        """Return the first row that has a name and a value that is no year."""
        return next(
            (n for n, row in enumerate(self.table) if row[0].strip() and any(map(_is_value, row[1:]))), len(self.table)
        )

    def find_cells(self, answer: str) -> list[Cell]:
        """Return the cells of named rows that have exactly this value."""
        wanted = simplify(answer)
        return [
            Cell(n, column)
            for n, row in enumerate(self.table)
            for column, cell in enumerate(row)
            if column and n >= self.body and row[0].strip() and _is_value(cell) and simplify(cell) == wanted
        ]

    def find_year(self, column: int) -> str:
        """Return the one year in the head of a column, "" if there is none or are several."""
        years = {year for row in self.table[: self.body] for year in _YEAR.findall(unspace(row[column]))}
        return years.pop() if len(years) == 1 else ""


@dataclass(frozen=True)
class ReportQuestion:
    """A question with literal answers, and their cells if it is about figures."""

    report: Report
    text: str
    answers: tuple[str, ...]
    scale: str
    cells: tuple[Cell, ...]

    @property
    def kind(self) -> str:
        return "figure" if self.cells else "text"


@dataclass
class Outcome:
    """What was found and shown for one question."""

    question: ReportQuestion
    passages: list[Passage]
    extract: str

    def judge(self) -> dict[str, bool | None]:
        """Return each column of the table; None where it does not apply."""
        one = self.question
        texts = [describe_tables(passage.text) for passage in self.passages]
        lines = [line.strip("> -").replace("**", "").replace("\\[", "[") for line in self.extract.splitlines()]
        if not one.cells:
            shown = [answer in "\n".join(lines) for answer in one.answers]
            return {
                "found": all(any(answer in text for text in texts) for answer in one.answers),
                "first": bool(texts) and all(answer in texts[0] for answer in one.answers),
                "shown": all(shown),
            }
        pairs = [find_pair(one.report, cell, lines) for cell in one.cells]
        years = [one.report.find_year(cell.column) for cell in one.cells]
        whole = all(pairs)
        return {
            "found": all(find_pair(one.report, cell, "\n".join(texts).splitlines()) for cell in one.cells),
            "first": bool(texts) and all(find_pair(one.report, cell, texts[0].splitlines()) for cell in one.cells),
            "shown": whole,
            "year": whole and all(year in unspace(pair[0]) for pair, year in zip(pairs, years, strict=True) if pair)
            if all(years)
            else None,
            "unit": whole and all(UNITS[one.scale].search(pair[1]) for pair in pairs if pair) if one.scale else None,
        }


def simplify(value: str) -> str:
    """Return a value without blanks and signs of currencies."""
    return re.sub(r"[\s$€£¥]", "", value)


def unspace(text: str) -> str:
    """Return a text whose years have no blanks: "2 0 1 8"."""
    return re.sub(r"(?<=\d) (?=\d)", "", text)


def _is_value(cell: str) -> bool:
    return any(map(str.isdigit, cell)) and not _YEAR.search(unspace(cell)) and not re.search(r"[A-Za-z]{2}", cell)


def find_pair(report: Report, cell: Cell, lines: Sequence[str]) -> tuple[str, str] | None:
    """Return what stands in front of a cell's value in the line of its row, and the line."""
    row = report.table[cell.row]
    label, value = " ".join(row[0].split()), simplify(row[cell.column])
    place = sum(simplify(one) == value for one in row[1 : cell.column])
    for given in lines:
        line = format_row((), split_row(given)) if is_table_row(given) else given
        if label not in line:
            continue
        found = [part for part in line.split("; ") if simplify(part.rpartition(": ")[2]) == value]
        if len(found) > place:
            return found[place].rpartition(": ")[0], line
    return None


def load_reports(folder: Path, part: str) -> tuple[list[Report], list[ReportQuestion]]:
    """Return the documents of a part and the questions about them; end with 2 if the file is missing or another one."""
    name, checksum = PARTS[part]
    path = folder / "tatqa" / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
        print(f"This needs tatqa/{name} in KVASIR_EVAL_DIR, from {WHERE}\n    sha256 {checksum}", file=sys.stderr)
        sys.exit(2)
    reports, questions = [], []
    for number, given in enumerate(json.loads(path.read_text(encoding="utf-8")), 1):
        table = tuple(tuple(cell.strip() for cell in row) for row in given["table"]["table"])
        texts = sorted(given["paragraphs"], key=lambda one: one["order"])
        report = Report(f"report-{number:03}", table, tuple(one["text"].strip() for one in texts))
        reports.append(report)
        questions += [made for one in given["questions"] if (made := make_question(report, one)) is not None]
    return reports, questions


def make_question(report: Report, given: Mapping[str, Any]) -> ReportQuestion | None:
    """Return a question, None if it needs a calculation, or if its answers are in several places."""
    if given["answer_type"] not in {"span", "multi-span"} or given["req_comparison"]:
        return None
    answers = tuple(str(answer).strip() for answer in given["answer"] if str(answer).strip())
    if not answers:
        return None
    cells: tuple[Cell, ...] = ()
    if given["answer_from"] != "text" and all(map(_is_value, answers)):
        asked = _YEAR.findall(given["question"])
        found = [report.find_cells(answer) for answer in answers]
        if any(len(some) > 1 for some in found):
            found = [[cell for cell in some if report.find_year(cell.column) in asked] for some in found]
        if any(len(some) != 1 for some in found):
            return None
        cells = tuple(some[0] for some in found)
    scale = given["scale"] if given["scale"] and UNITS[given["scale"]].search(report.markdown) else ""
    return ReportQuestion(report, given["question"], answers, scale, cells)


async def index_reports(reports: Sequence[Report], embedder: Embedder) -> list[Chunk]:
    """Return the passages of the documents, cut as in the product; each document is a source of its own."""
    parser, chunks = Parser(), list[Chunk]()
    for report in reports:
        content = DocumentContent(report.markdown.encode(), "text/markdown", "")
        parsed = await parser.parse(f"{report.name}.md", content)
        chunks += chunk_document(
            parsed, source=report.name, document_id=report.name, url=None, readers=EVERYONE,
            count_tokens=embedder.count_tokens,
        )  # fmt: skip
    await parser.close()
    return chunks


async def ask_questions(
    reports: Sequence[Report], questions: Sequence[ReportQuestion], embedder: Embedder, scratch: Path
) -> list[Outcome]:
    """Return the outcome of each question."""
    chunks = await index_reports(reports, embedder)
    texts = [one.text for one in questions]
    vectors = await embed_once(embedder, [one.searchable_text for one in chunks], questions=False, scratch=scratch)
    asked = await embed_once(embedder, texts, questions=True, scratch=scratch)
    fixed = FixedEmbedder(embedder, texts, asked)
    by_text = dict(zip(texts, asked, strict=True))
    scale = find_calibration(embedder.identity).extract_scale
    compared = EmbeddingCache(embedder.embed_passages, texts=_VECTORS)

    async def compare(text: str, others: Sequence[str]) -> Vector:
        found = await compared(others)
        return np.array([found[other] @ by_text[text] for other in others], np.float32) * scale

    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_filled_store("lancedb", chunks, vectors, Path(folder)) as store:
            search = IndexSearch(store, fixed, "")
            for one in questions:
                search.source = one.report.name
                hits = (await search.hits(one.text))[: Limits().hits]
                passages = [
                    Passage(n, hit.source, hit.document, hit.title, hit.heading, None, hit.text)
                    for n, hit in enumerate(hits, 1)
                ]
                ordered, similar = order_passages(passages, await compare_sentences(one.text, passages, compare))
                extract, _ = choose_extracts(one.text, ordered, Numbering(), similar)
                outcomes.append(Outcome(one, list(ordered), extract))
    return outcomes


def make_sentences(question: ReportQuestion) -> Iterator[tuple[str, str]]:
    """Yield sentences about the cell of a figure, each with its kind."""
    if len(question.cells) != 1:
        return
    report, cell = question.report, question.cells[0]
    row = report.table[cell.row]
    label, year, value = _FOOTNOTE.sub("", row[0]), report.find_year(cell.column), row[cell.column]
    if not year or year in label:
        return
    scale = "" if question.scale == "percent" or "%" in value else f" {question.scale}".rstrip()
    value = " ".join(value.split()).replace("$ ", "$")
    yield "true", f"{label} was {value}{scale} in {year}."
    if scale:
        yield "true, without unit", f"{label} was {value} in {year}."
        yield "other unit", f"{label} was {value} {OTHER_UNIT[question.scale]} in {year}."
    for column in (cell.column + 1, cell.column - 1):
        if not 0 < column < len(row) or not _is_value(row[column]):
            continue
        other = report.find_year(column)
        if other not in {"", year} and simplify(row[column]) != simplify(row[cell.column]):
            yield "other year", f"{label} was {value}{scale} in {other}."
            break
    for n in (cell.row + 1, cell.row - 1):
        if not report.body <= n < len(report.table):
            continue
        theirs = report.table[n][cell.column]
        if report.table[n][0] and _is_value(theirs) and not any(simplify(theirs) == simplify(one) for one in row[1:]):
            yield "other row", f"{label} was {' '.join(theirs.split()).replace('$ ', '$')}{scale} in {year}."
            break


async def check_sentences(outcomes: Sequence[Outcome], embedder: Embedder, misses: int) -> dict[str, Counter[str]]:
    """Return how often the checker gave each verdict on each kind of sentence."""
    cache = EmbeddingCache(embedder.embed_symmetric, texts=_VECTORS)
    verdicts: dict[str, Counter[str]] = {}
    for one in outcomes:
        if not one.judge()["found"]:
            continue
        for kind, sentence in make_sentences(one.question):
            checker = FeatureChecker(cache, find_calibration(embedder.identity).support)
            await checker.prepare(one.passages, one.question.text)
            verdict = (await checker.check_sentence(sentence)).kind
            count = verdicts.setdefault(kind, Counter())
            count[verdict] += 1
            if (verdict == "supported") != kind.startswith("true") and count.total() - count["supported"] < misses:
                print(f"{one.question.report.name} {kind}, {verdict}: {sentence}", file=sys.stderr)
    return verdicts


def count_figures(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Return the shares of each kind of question, in percent, with the number that each is a share of."""
    figures: dict[str, dict[str, Any]] = {}
    for kind in ("figure", "text"):
        judged = [one.judge() for one in outcomes if one.question.kind == kind]
        figures[kind] = {"questions": len(judged)}
        for column in judged[0]:
            values = [one[column] for one in judged if one[column] is not None]
            figures[kind][column] = [round(100 * sum(map(bool, values)) / max(1, len(values)), 1), len(values)]
    return figures


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one part."""
    reports, questions = load_reports(Path(os.environ.get("KVASIR_EVAL_DIR", "")), options.part)
    chosen = {report.name for report in reports[:: options.every]}
    questions = [one for one in questions if one.report.name in chosen]
    embedder = await open_cached_embedder()
    options.scratch.mkdir(parents=True, exist_ok=True)
    outcomes = await ask_questions(reports, questions, embedder, options.scratch)
    for kind in ("figure", "text"):
        missed = [one for one in outcomes if one.question.kind == kind and False in one.judge().values()]
        for one in missed[: options.misses]:
            print(f"\n{one.question.report.name} {one.question.text}\n  {one.judge()}", file=sys.stderr)
            print(f"  wanted: {one.question.answers} {one.question.scale}\n{one.extract}", file=sys.stderr)
    verdicts = await check_sentences(outcomes, embedder, options.misses)
    await embedder.close()
    return {"documents": len(reports), "questions": count_figures(outcomes), "sentences": verdicts}


def print_tables(result: Mapping[str, Any]) -> None:
    """Print tables for a person."""
    print(f"{result['documents']} documents")
    for kind, columns in result["questions"].items():
        shares = (f"{name} {value[0]} % of {value[1]}" for name, value in columns.items() if name != "questions")
        print(f"{kind:8} {columns['questions']:5}  {'  '.join(shares)}")
    for kind, verdicts in result["sentences"].items():
        total = sum(verdicts.values())
        print(f"{kind:20} {total:5}  unmarked {verdicts['supported'] / total:.1%}  {dict(verdicts)}")


def main() -> None:
    """Measure and print; the exit status is 2 without the data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=list(PARTS), default="test")
    parser.add_argument("--every", type=int, default=1, help="ask about every third document, for example")
    parser.add_argument("--misses", type=int, default=0, help="print so many failures of each kind")
    parser.add_argument(
        "--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval", help="kept vectors"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    print(json.dumps(result)) if options.json else print_tables(result)


if __name__ == "__main__":
    main()
