"""Test the questions of ``make eval-answers`` in this repository: complete, consistent, with stable samples."""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from scripts.answer_scores import OWN_WORDS, Item
from scripts.answer_sets import DATA, ROOT, expand_names, load_set
from scripts.own_words import FILES, SETS, find_sections, load_items, read_questions, split_sections


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
    for item in (*load("newcomer"), *load("gateway"), *(item for name in SETS for item in load_items(name))):
        for fact in item.facts:
            assert fact
            assert all(re.compile(pattern) for pattern in fact)
        matches = [any(re.search(one, item.question, re.IGNORECASE) for one in fact) for fact in item.facts]
        few = any if item.set.startswith(OWN_WORDS) else all
        assert item.set == "newcomer" or not item.facts or not few(matches), item.id


def test_samples_are_the_same_each_time_and_smaller_ones_are_part_of_larger_ones() -> None:
    small, large = load("gateway", 10, 5), load("gateway", 20, 10)
    assert small == load("gateway", 10, 5)
    assert len(small) == 30
    assert set(small) < set(large)


@pytest.mark.parametrize("file", FILES)
def test_questions_in_own_words_are_complete_and_consistent(file: str) -> None:
    rows = read_questions(file)
    assert len(rows) >= 60
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows)
    assert {row["lang"] for row in rows} <= {"en", "zh"}
    for row in rows if file != "other_subjects" else ():
        assert row["kind"] in {"prose", "figure", "table", "none"}
        assert bool(row["facts"]) == bool(row["passages"]) == (row["kind"] != "none"), row["id"]
        assert all("#" in mark for mark in row["passages"]), row["id"]


def test_no_id_is_in_two_files() -> None:
    ids = [row["id"] for file in FILES for row in read_questions(file)]
    assert len(set(ids)) == len(ids)


def test_each_question_about_another_subject_is_asked_over_the_documents_of_its_language() -> None:
    for lang in ("en", "zh"):
        items = load_items(f"own-words-other-{lang}")
        assert len(items) == 50
        assert {(item.set, item.lang, item.answerable) for item in items} == {("own-words-other", lang, False)}
        assert SETS[f"own-words-other-{lang}"].library in SETS


def test_short_names_stand_for_their_sets() -> None:
    assert expand_names("own-words") == list(SETS)
    assert expand_names("gateway,own-words-other,gateway") == ["gateway", "own-words-other-en", "own-words-other-zh"]
    with pytest.raises(argparse.ArgumentTypeError, match="own-word"):
        expand_names("own-word")


def test_a_body_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_set("own-words-sharding", tmp_path, tmp_path, 1, 1)
    assert "shardingsphere-manual" in capsys.readouterr().err
    (tmp_path / "shardingsphere-manual").mkdir()
    (tmp_path / "shardingsphere-manual/a.cn.md").write_text("# 甲")
    loaded = load_set("own-words-sharding", tmp_path, tmp_path, 1, 1)
    assert len(loaded.items) >= 60, "a set in own words is asked whole"
    assert loaded.corpora == (("manual", tmp_path / "shardingsphere-manual"),)


PAGE = """---
title: Limits
---
Intro.

## The `burst` limit {#burst}

```sh
# no heading
```

### Defaults

It is 5.
"""


def test_a_section_ends_at_the_next_heading_and_code_has_no_headings() -> None:
    assert [heading for heading, _ in split_sections(PAGE)] == ["", "The `burst` limit {#burst}", "Defaults"]
    documents = {"en/latest/limit.md": PAGE, "zh/latest/limit.md": "## Defaults\n\n五"}
    assert find_sections("limit.md#Defaults", "en", documents) == ["### Defaults\n\nIt is 5."]
    assert find_sections("limit.md#Defaults", "zh", documents) == ["## Defaults\n\n五"]
    assert "no heading" in find_sections("limit.md#The burst limit", "en", documents)[0]
    assert find_sections("limit.md#", "en", documents)[0].endswith("Intro.\n")
    assert find_sections("limit.md#Unknown", "en", documents) == [PAGE]
