"""Measure text recognition: wrong characters of rendered pages, and a search over scanned contracts.

``pages`` renders texts of the data sets in English and Chinese as A4 pages of 150 dots per inch, each once clean and
once as a bad scan: turned by up to two degrees, blurred, saved as a poor JPEG, with speckles. The rate of wrong
characters is the edit distance to the drawn text over its length, without blanks, after NFKC. ``contracts`` prints
contracts into PDFs of pictures, and asks for clauses that lawyers marked in them. The questions name the clause alone,
so each is asked within its own contract. It compares nDCG@10 of the first passage with half of a marked clause over the
scans with that over the text.

    KVASIR_EVAL_DIR=… scripts/eval_ocr.py pages [--pages 50]
    KVASIR_EVAL_DIR=… scripts/eval_ocr.py contracts [--contracts 60] [--count] [--jobs 2] [--keep FOLDER]

``--count`` only says how many pages the contracts have. ``--keep`` names a folder for the texts of read scans: a run
that was interrupted continues from there. The fonts are those of Debian's fonts-dejavu-core and fonts-noto-cjk. Each
page takes some seconds of one core.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import csv
import io
import json
import math
import random
import re
import statistics
import sys
import tempfile
import time
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.chunking.chunker import chunk_document
from knowledge.interfaces import EVERYONE, Chunk, Document, DocumentContent
from knowledge.parsing import Parser
from knowledge.parsing.text_recognition import TextRecognition
from knowledge.parsing.wire import build_section
from scripts.eval_retrieval import FixedEmbedder, IndexSearch, open_filled_store
from scripts.eval_sets import embed_once, folder_or_exit, open_cached_embedder

SIZE, MARGIN = (1240, 1754), 110
FONTS = {
    "en": ["truetype/dejavu/DejaVuSans.ttf", "truetype/dejavu/DejaVuSerif.ttf"],
    "zh": ["opentype/noto/NotoSansCJK-Regular.ttc", "opentype/noto/NotoSerifCJK-Regular.ttc"],
}
POINTS = (20, 23, 26)
"""Sizes of type in pixels: about 10, 11 and 12.5 points."""
PATIENCE_S = 3_600.0
UNITS = re.compile(r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+|\s+")
"""What no line break divides: a Chinese character, a word, blanks."""
CLAUSES = (
    "Governing Law",
    "Anti-Assignment",
    "License Grant",
    "Audit Rights",
    "Termination For Convenience",
    "Insurance",
)


def find_font(lang: str, number: int) -> ImageFont.FreeTypeFont:
    """Return a font for a page; the fonts and sizes take turns."""
    path = Path("/usr/share/fonts") / FONTS[lang][number % 2]
    return ImageFont.truetype(str(path), POINTS[number % 3])


def wrap_text(text: str, font: ImageFont.FreeTypeFont) -> Iterator[str]:
    """Yield the lines of a paragraph within the margins, broken at blanks, or anywhere in Chinese."""
    line = ""
    for unit in UNITS.findall(text):
        if line and font.getlength(line + unit) > SIZE[0] - 2 * MARGIN:
            yield line.rstrip()
            line = ""
        line += unit if line else unit.lstrip()
    if line:
        yield line


def draw_pages(paragraphs: Sequence[str], font: ImageFont.FreeTypeFont) -> Iterator[tuple[Image.Image, str]]:
    """Yield pages with their texts."""
    step = round(1.5 * font.size)
    rows = (SIZE[1] - 2 * MARGIN) // step
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += [*wrap_text(" ".join(paragraph.split()), font), ""]
    for start in range(0, len(lines), rows):
        page = Image.new("RGB", SIZE, "white")
        pen = ImageDraw.Draw(page)
        for row, line in enumerate(lines[start : start + rows]):
            pen.text((MARGIN, MARGIN + row * step), line, font=font, fill="black")
        yield page, "\n".join(lines[start : start + rows])


def spoil_page(page: Image.Image, seed: int) -> Image.Image:
    """Return the page as a bad scan."""
    dice = random.Random(seed)
    turned = page.rotate(dice.uniform(-2, 2), Image.Resampling.BICUBIC, fillcolor="white")
    pixels = np.array(turned.filter(ImageFilter.GaussianBlur(dice.uniform(0.5, 1.0))))
    speckles = np.random.default_rng(seed).random(pixels.shape[:2])
    pixels[speckles < 0.001] = 60
    pixels[speckles > 0.999] = 200
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=dice.randint(35, 60))
    return Image.open(packed)


def list_paragraphs(folder: Path, lang: str) -> list[str]:
    """Return paragraphs of both kinds of data: encyclopaedia and documentation."""
    squad = json.loads((folder / "xquad" / f"xquad.{lang}.json").read_text(encoding="utf-8"))
    texts = [one["context"] for article in squad["data"] for one in article["paragraphs"]]
    for path in sorted((folder / "apisix-docs" / lang / "latest").rglob("*.md"))[:40]:
        blocks = path.read_text(encoding="utf-8").split("\n\n")
        texts += [one for one in blocks if len(one) > 150 and not set("|<`[{}#") & set(one)]
    random.Random(1).shuffle(texts)
    return texts


def measure_errors(read: str, drawn: str) -> float:
    """Return the share of wrong characters, without blanks."""
    one, other = ("".join(unicodedata.normalize("NFKC", text).split()) for text in (read, drawn))
    found = np.array([ord(each) for each in one], dtype=np.int32)
    places = np.arange(len(found) + 1)
    row = places.copy()
    for number, letter in enumerate(other, 1):
        changed = np.concatenate([[number], np.minimum(row[1:] + 1, row[:-1] + (found != ord(letter)))])
        row = np.minimum.accumulate(changed - places) + places
    return float(row[-1]) / max(1, len(other))


def save(page: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the file of a picture."""
    target = io.BytesIO()
    page.save(target, kind, **options)
    return target.getvalue()


async def recognise(recognition: TextRecognition, name: str, data: bytes, pages: int = 1) -> Document:
    """Return what is read of a file."""
    return await recognition.read(name, DocumentContent(data, None, ""), pages)


async def measure_pages(folder: Path, count: int) -> None:
    """Print the rates of wrong characters."""
    recognition = TextRecognition(PATIENCE_S, first_s=PATIENCE_S)
    for lang in ("en", "zh"):
        paragraphs = list_paragraphs(folder, lang)
        drawn: list[tuple[Image.Image, str]] = []
        while len(drawn) < count // 2:
            part = paragraphs[6 * len(drawn) : 6 * len(drawn) + 6]
            drawn.append(next(draw_pages(part, find_font(lang, len(drawn)))))
        for state in ("clean", "noisy"):
            rates, seconds = [], []
            for number, (page, text) in enumerate(drawn):
                picture = page if state == "clean" else spoil_page(page, number)
                began = time.monotonic()
                document = await recognise(recognition, "page.png", save(picture))
                seconds.append(time.monotonic() - began)
                rates.append(measure_errors("\n".join(one.text for one in document.sections), text))
                print(f"page {number}: {100 * rates[-1]:.2f} %, {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
            print(
                f"{lang} {state}: {len(rates)} pages, wrong characters {100 * statistics.mean(rates):.2f} % "
                f"(worst page {100 * max(rates):.2f} %), {statistics.median(seconds):.1f} s a page",
                flush=True,
            )
    await recognition.close()


@dataclass(frozen=True)
class ClauseQuestion:
    """A question about a clause within one contract, with the texts that lawyers marked."""

    text: str
    contract: str
    marked: tuple[frozenset[str], ...]
    """The sequences of words of each marked text."""

    def is_answered_by(self, passage: str) -> bool:
        """Return whether a passage has at least half of a marked text."""
        found = list_sequences(passage)
        return any(2 * len(one & found) >= len(one) for one in self.marked)


def list_sequences(text: str) -> frozenset[str]:
    """Return all sequences of three words, or the whole text if it has fewer."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(" ".join(words[n : n + 3]) for n in range(max(1, len(words) - 2)))


def list_questions(folder: Path, names: Collection[str]) -> list[ClauseQuestion]:
    """Return questions about marked clauses, which name neither the contract nor a party."""
    found = []
    with (folder / "clauses.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            for clause in CLAUSES if row["Filename"] in names else ():
                if marked := ast.literal_eval(row[clause] or "[]"):
                    question = f"What does the contract say about {clause.lower()}?"
                    found.append(ClauseQuestion(question, row["Filename"], tuple(map(list_sequences, marked))))
    return found


def score_hits(question: ClauseQuestion, passages: Sequence[str]) -> float:
    """Return nDCG@10 of the first passage that answers."""
    ranks = (rank for rank, passage in enumerate(passages[:10], 2) if question.is_answered_by(passage))
    return 1 / math.log2(next(ranks, math.inf))


def print_contract(text: str, number: int) -> tuple[bytes, int]:
    """Return a PDF of pictures with a contract's text, and the number of its pages."""
    first, *others = [page.convert("L") for page, _ in draw_pages(text.split("\n\n"), find_font("en", number))]
    return save(first, "PDF", save_all=True, append_images=others, resolution=150), len(others) + 1


async def read_scans(texts: dict[str, str], jobs: int, keep: Path) -> dict[str, Document]:
    """Return the contracts as they are read from scans, in so many processes at the same time."""
    found: dict[str, Document] = {}
    waiting = iter(list(enumerate(texts.items())))

    async def read_some() -> None:
        recognition = TextRecognition(PATIENCE_S, first_s=PATIENCE_S)
        for number, (name, text) in waiting:
            kept = keep / f"{name}.json"
            if not kept.exists():
                data, pages = await asyncio.to_thread(print_contract, text, number)
                began = time.monotonic()
                document = await recognise(recognition, f"{name}.pdf", data, pages)
                print(f"{name}: {pages} pages, {(time.monotonic() - began) / pages:.1f} s a page", flush=True)
                part = kept.with_suffix(".part")
                part.write_text(json.dumps([astuple(one) for one in document.sections]), encoding="utf-8")
                part.replace(kept)
            sections = json.loads(kept.read_text(encoding="utf-8"))
            found[name] = Document(name, tuple(build_section(*one) for one in sections))
        await recognition.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(jobs):
            group.create_task(read_some())
    return found


async def measure_contracts(folder: Path, count: int, jobs: int, keep: Path | None) -> None:
    """Print nDCG@10 over texts and over scans of contracts."""
    texts = read_contracts(folder, count)
    questions = list_questions(folder, list(texts))
    with tempfile.TemporaryDirectory() as scratch:
        scans = await read_scans(texts, jobs, keep or Path(scratch))
    parser, embedder = Parser(), await open_cached_embedder()
    documents = {
        "text": {
            name: await parser.parse(name, DocumentContent(text.encode(), None, "")) for name, text in texts.items()
        },
        "scans": scans,
    }
    for kind, parsed in documents.items():
        chunks = [chunk for name in texts for chunk in split_document(name, parsed[name], embedder.count_tokens)]
        asked = [question.text for question in questions]
        with tempfile.TemporaryDirectory() as scratch:
            vectors = await embed_once(
                embedder, [one.searchable_text for one in chunks], questions=False, scratch=Path(scratch)
            )
            fixed = FixedEmbedder(
                embedder, asked, await embed_once(embedder, asked, questions=True, scratch=Path(scratch))
            )
            async with open_filled_store("lancedb", chunks, vectors, Path(scratch)) as store:
                search, scores = IndexSearch(store, fixed, ""), []
                for question in questions:
                    search.source = question.contract
                    scores.append(score_hits(question, [hit.text for hit in await search.hits(question.text)]))
        print(f"{kind}: {len(chunks)} passages, {len(questions)} questions, nDCG@10 {statistics.mean(scores):.3f}")
    for one in (parser, embedder):
        await one.close()


def read_contracts(folder: Path, count: int) -> dict[str, str]:
    """Return the texts of the first contracts by the names of their files."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / "txt").glob("*.txt"))[:count]}


def count_pages(texts: dict[str, str]) -> int:
    """Return how many pages the contracts have in print."""
    return sum(
        sum(1 for _ in draw_pages(text.split("\n\n"), find_font("en", number)))
        for number, text in enumerate(texts.values())
    )


def split_document(name: str, document: Document, count_tokens: Any) -> list[Chunk]:
    """Return the passages of a contract, which is a source of its own, under its file's name in both indexes."""
    named = Document(name.partition(".")[0], document.sections)
    return chunk_document(named, source=name, document_id=name, url=None, readers=EVERYONE, count_tokens=count_tokens)


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pages", "contracts"])
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--contracts", type=int, default=60)
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    folder = folder_or_exit()
    contracts = folder / "profiles" / "contracts"
    if options.what == "pages":
        asyncio.run(measure_pages(folder, options.pages))
    elif options.count:
        texts = read_contracts(contracts, options.contracts)
        print(f"{len(texts)} contracts, {count_pages(texts)} pages")
    else:
        asyncio.run(measure_contracts(contracts, options.contracts, options.jobs, options.keep))


if __name__ == "__main__":
    main()
