"""Test the questions of ``make eval-answers`` in this repository: complete, consistent, with stable samples."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from scripts.answer_scores import Item
from scripts.answer_sets import DATA, ROOT, load_set


def load(name: str, answerable: int = 1000, unanswerable: int = 1000) -> tuple[Item, ...]:
    return load_set(name, Path("nowhere"), Path("nowhere"), answerable, unanswerable).items


def test_newcomers_ask_ten_questions_in_each_language_of_pages_that_exist() -> None:
    items = load("newcomer")
    assert Counter(item.lang for item in items) == {"en": 10, "zh": 10}
    pages = {page for item in items for page in item.pages}
    assert all((ROOT / page).is_file() or (ROOT / "docs" / page).is_file() for page in pages)


def test_the_gateway_has_enough_questions_of_each_kind() -> None:
    kinds = Counter((item.lang, item.answerable) for item in load("gateway"))
    assert all(kinds[lang, answerable] >= 60 for lang in ("en", "zh") for answerable in (True, False))


def test_there_are_enough_unanswerable_questions_for_the_public_sets() -> None:
    rows = [json.loads(line) for line in (DATA / "wiki_unanswerable.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(count >= 60 for count in Counter(row["lang"] for row in rows).values())
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows)


def test_every_pattern_compiles_and_no_question_holds_its_own_answer() -> None:
    for item in (*load("newcomer"), *load("gateway")):
        for fact in item.facts:
            assert fact
            assert all(re.compile(pattern) for pattern in fact)
        matches = [any(re.search(one, item.question, re.IGNORECASE) for one in fact) for fact in item.facts]
        assert item.set == "newcomer" or not item.facts or not all(matches), item.id


def test_samples_are_the_same_each_time_and_smaller_ones_are_part_of_larger_ones() -> None:
    small, large = load("gateway", 10, 5), load("gateway", 20, 10)
    assert small == load("gateway", 10, 5)
    assert len(small) == 30
    assert set(small) < set(large)
