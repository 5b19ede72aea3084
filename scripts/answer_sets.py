"""Load the questions and documents of ``make eval-answers``, from KVASIR_EVAL_DIR and from eval_data.

Each set of XQuAD (English, Chinese) and CMRC 2018 is asked over all its paragraphs, one file each. The documentation of
an API gateway is one corpus in both languages, and its questions have key facts. A sample is the lowest hashes of ids.
The sets of ``own_words.py`` are always asked whole.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import own_words
from scripts.answer_scores import Item

DATA = Path(__file__).parent / "eval_data"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """Questions over one corpus."""

    name: str
    corpora: tuple[tuple[str, Path], ...]
    """Folders by the names of their sources."""
    items: tuple[Item, ...]
    library: str = ""
    """The set whose library is used; "" for its own."""


NAMES = ("xquad-en", "wiki-zh", "gateway", "newcomer", *own_words.SETS)


def expand_names(given: str) -> list[str]:
    """Return the names of sets in a list with commas, those of short names (``own-words``) included.

    Raises:
        argparse.ArgumentTypeError: there is no such set.

    """
    names = [name for part in given.split(",") for name in own_words.SHORT_NAMES.get(part, (part,))]
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(f"There is no set {', '.join(sorted(unknown))}.")
    return list(dict.fromkeys(names))


def load_set(name: str, eval_dir: Path, scratch: Path, answerable: int, unanswerable: int) -> AnswerSet:
    """Return a set with at most so many questions of each language; its corpus is written below ``scratch``."""
    if name == "newcomer":
        return AnswerSet(name, (("docs", ROOT / "docs"),), tuple(_newcomer()))
    if name in own_words.SETS:
        asked = own_words.SETS[name]
        corpus = (asked.body.source, own_words.find_body(asked.body, eval_dir))
        return AnswerSet(name, (corpus,), own_words.load_items(name), asked.library)
    if name == "gateway":
        items = [*_gateway(), *_unanswerable("apisix_unanswerable.jsonl", name, "")]
        return AnswerSet(name, (("gateway", eval_dir / "apisix-docs"),), _sample(items, answerable, unanswerable))
    others = list(_unanswerable("wiki_unanswerable.jsonl", name, name[-2:]))
    if name == "xquad-en":
        folder, items = _squad(eval_dir / "xquad/xquad.en.json", name, scratch / "xquad-en")
        return AnswerSet(name, (("xquad", folder),), _sample([*items, *others], answerable, unanswerable))
    half = answerable // 2
    xquad, first = _squad(eval_dir / "xquad/xquad.zh.json", name, scratch / "xquad-zh")
    cmrc, second = _squad(eval_dir / "cmrc2018/cmrc2018_dev.json", name, scratch / "cmrc2018")
    sampled = (*_sample(first, half, 0), *_sample(second, answerable - half, 0), *_sample(others, 0, unanswerable))
    return AnswerSet(name, (("xquad", xquad), ("cmrc", cmrc)), sampled)


def _sample(items: Sequence[Item], answerable: int, unanswerable: int) -> tuple[Item, ...]:
    """Return the items of each language with the lowest hashes of their ids."""
    ordered = sorted(items, key=lambda item: hashlib.sha256(item.id.encode()).hexdigest())
    chosen: list[Item] = []
    for lang in ("en", "zh"):
        ours = [item for item in ordered if item.lang == lang]
        chosen += [item for item in ours if item.answerable][:answerable]
        chosen += [item for item in ours if not item.answerable][:unanswerable]
    return tuple(chosen)


def _rows(name: str) -> Iterator[dict[str, Any]]:
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _newcomer() -> Iterator[Item]:
    for row in _rows("newcomer_questions.jsonl"):
        yield Item(
            row["id"],
            "newcomer",
            row["lang"],
            row["question"],
            facts=tuple(map(tuple, row["facts"])),
            pages=tuple(row["pages"]),
            wrong=tuple(row["wrong"]),
            cites=bool(row["pages"]),
        )


def _gateway() -> Iterator[Item]:
    facts = {row["id"]: row["facts"] for row in _rows("apisix_facts.jsonl")}
    for row in _rows("apisix_questions.jsonl"):
        if row["id"] in facts:
            yield Item(
                row["id"],
                "gateway",
                row["lang"],
                row["question"],
                facts=tuple(map(tuple, facts[row["id"]])),
                pages=tuple(row["relevant"]),
            )


def _unanswerable(name: str, set_name: str, lang: str) -> Iterator[Item]:
    for row in _rows(name):
        if not lang or row["lang"] == lang:
            yield Item(row["id"], set_name, row["lang"], row["question"])


def _squad(path: Path, set_name: str, folder: Path) -> tuple[Path, list[Item]]:
    """Write SQuAD's paragraphs as documents if they are missing; return their folder and the questions."""
    items: list[Item] = []
    lang = set_name[-2:]
    complete = folder / ".complete"
    for number, article in enumerate(json.loads(path.read_text(encoding="utf-8"))["data"]):
        for place, paragraph in enumerate(article["paragraphs"]):
            if not complete.is_file():
                document = folder / f"{number:03}-{place:02}.md"
                document.parent.mkdir(parents=True, exist_ok=True)
                title = article["title"].replace("_", " ")
                document.write_text(f"# {title}\n\n{paragraph['context']}\n", encoding="utf-8")
            for qa in paragraph["qas"]:
                references = tuple(dict.fromkeys(answer["text"] for answer in qa["answers"]))
                items.append(Item(qa["id"], set_name, lang, qa["question"], references))
    complete.touch()
    return folder, items
