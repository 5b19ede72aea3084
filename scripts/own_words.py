"""Load the questions that people asked in their own words, and find the sections of documents that answer them.

The questions are in ``eval_data/own_words``, whose README says who wrote and marked them. The documents are not in this
repository: ``BODIES`` names their folders below KVASIR_EVAL_DIR.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.answer_scores import OWN_WORDS, Item

FOLDER = Path(__file__).parent / "eval_data/own_words"
FILES = ("gateway_en", "gateway_zh", "handbook_en", "sharding_zh", "other_subjects")
OTHER_SUBJECTS = f"{OWN_WORDS}-other"

_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(?P<text>.*?)\s*#*\s*")
_NOT_IN_A_NAME = re.compile(r"\{#[^}]*\}|\]\([^)]*\)|[\s*_`\[\]\\]+")


@dataclass(frozen=True, slots=True)
class Body:
    """A body of documents that questions are asked over."""

    source: str
    """The name of its source in Kvasir."""
    folder: str
    """Below KVASIR_EVAL_DIR."""
    suffix: str
    origin: str
    """Where it is published."""


GATEWAY = Body("gateway", "apisix-docs", ".md", "docs/en and docs/zh of https://github.com/apache/apisix")
HANDBOOK = Body("handbook", "handbook", ".md", "the Markdown files of https://github.com/basecamp/handbook")
SHARDING = Body(
    "manual",
    "shardingsphere-manual",
    ".cn.md",
    "the .cn.md files of docs/document/content/user-manual of https://github.com/apache/shardingsphere, tag 5.5.2",
)


@dataclass(frozen=True, slots=True)
class OwnWordsSet:
    """Files of questions, and the body that they are asked over."""

    files: tuple[str, ...]
    body: Body
    library: str
    """The set whose library has this body alone."""
    lang: str = ""
    """The language of its questions; "" for all of the files."""


SETS: Mapping[str, OwnWordsSet] = {
    f"{OWN_WORDS}-gateway": OwnWordsSet(("gateway_en", "gateway_zh"), GATEWAY, "gateway"),
    f"{OWN_WORDS}-handbook": OwnWordsSet(("handbook_en",), HANDBOOK, f"{OWN_WORDS}-handbook"),
    f"{OWN_WORDS}-sharding": OwnWordsSet(("sharding_zh",), SHARDING, f"{OWN_WORDS}-sharding"),
    f"{OTHER_SUBJECTS}-en": OwnWordsSet(("other_subjects",), HANDBOOK, f"{OWN_WORDS}-handbook", "en"),
    f"{OTHER_SUBJECTS}-zh": OwnWordsSet(("other_subjects",), SHARDING, f"{OWN_WORDS}-sharding", "zh"),
}
SHORT_NAMES: Mapping[str, tuple[str, ...]] = {
    OWN_WORDS: tuple(SETS),
    OTHER_SUBJECTS: tuple(name for name in SETS if name.startswith(OTHER_SUBJECTS)),
}


def read_questions(file: str) -> list[dict[str, Any]]:
    """Return the rows of a file of questions."""
    return [json.loads(line) for line in (FOLDER / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()]


def load_items(name: str) -> tuple[Item, ...]:
    """Return the questions of a set."""
    asked = SETS[name]
    report_name = OTHER_SUBJECTS if name.startswith(OTHER_SUBJECTS) else name
    rows = [row for file in asked.files for row in read_questions(file) if asked.lang in {"", row["lang"]}]
    return tuple(
        Item(
            row["id"],
            report_name,
            row["lang"],
            row["question"],
            facts=tuple(map(tuple, row.get("facts", ()))),
            pages=tuple(dict.fromkeys(mark.partition("#")[0] for mark in row.get("passages", ()))),
            kind=row.get("kind", ""),
        )
        for row in rows
    )


def find_body(body: Body, eval_dir: Path) -> Path:
    """Return the folder of a body; if it has no documents, print where to get them and exit with 2."""
    folder = (eval_dir / body.folder).resolve()
    if any(folder.rglob(f"*{body.suffix}")):
        return folder
    print(f"KVASIR_EVAL_DIR ({eval_dir}) has no *{body.suffix} files in {body.folder}.", file=sys.stderr)
    print(f"Put there {body.origin}.", file=sys.stderr)
    sys.exit(2)


def read_documents(body: Body, folder: Path) -> dict[str, str]:
    """Return the texts of a body's documents by their paths in its folder."""
    paths = sorted(folder.rglob(f"*{body.suffix}"))
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


# ── Sections ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def split_sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield the heading and the text of each section, its heading included; "" is what comes before the first one."""
    heading, lines, fence = "", list[str](), ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and fence in {"", mark[1]}:
            fence = "" if fence else mark[1]
        elif not fence and (found := _HEADING.fullmatch(line)):
            yield heading, "\n".join(lines)
            heading, lines = found["text"], []
        lines.append(line)
    yield heading, "\n".join(lines)


def find_sections(mark: str, lang: str, documents: Mapping[str, str]) -> list[str]:
    """Return the sections that a mark (``plugins/limit-count.md#Attributes``) names; else the whole page.

    Of a body in two languages, each with a folder of its own, only the pages of ``lang`` count.
    """
    page, _, heading = mark.partition("#")
    named = [path for path in documents if path == page or path.endswith(f"/{page}")]
    pages = [documents[path] for path in named if path.startswith(f"{lang}/")] or [documents[path] for path in named]
    sections = [section for text in pages for section in split_sections(text)]
    return [text for name, text in sections if _fold_name(name) == _fold_name(heading)] or pages


def _fold_name(heading: str) -> str:
    return _NOT_IN_A_NAME.sub("", unicodedata.normalize("NFKC", heading)).casefold()
