"""Tests of the changes that make false sentences, and of the statements from Chinese questions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from scripts.support.changes import make_changes
from scripts.support.loaders import make_statement
from scripts.support.sets import Evidence, Pair, draw_sample


def make_pair(sentence: str, passage: str, *, language: str = "en", n: int = 1, answer: str = "") -> Pair:
    return Pair(f"set/{n}", "set", language, (Evidence(passage),), sentence, "supported", answer=answer)


@pytest.mark.parametrize(
    ("sentence", "kind", "changed"),
    [
        ("It is open.", "negation", "It is not open."),
        ("It is not open.", "negation", "It is open."),
        ("It cannot be opened.", "negation", "It can be opened."),
        ("He met Anna Smith in Paris.", "swap", "He met Paris in Anna Smith."),
        ("Close it before noon.", "side", "Close it after noon."),
        ("The first of 30 days.", "number", "The first of 31 days."),
    ],
)
def test_change_has_its_kind(sentence: str, kind: str, changed: str) -> None:
    found = {one.kind: one.sentence for one in make_changes([make_pair(sentence, sentence)])}
    assert found[kind] == changed


def test_sentence_with_several_negations_is_unchanged() -> None:
    assert "negation" not in {
        one.kind for one in make_changes([make_pair("There is no way that it is not open.", "Text.")])
    }


def test_chinese_negations_are_changed() -> None:
    assert [one.sentence for one in make_changes([make_pair("这是对的。", "这是对的。", language="zh")])] == [
        "这不是对的。"
    ]
    assert [one.sentence for one in make_changes([make_pair("这不是对的。", "这不是对的。", language="zh")])] == [
        "这是对的。"
    ]


def test_other_document_shares_no_passage_or_conversation() -> None:
    one, same = make_pair("Tea is hot.", "A", answer="set/a<1"), make_pair("Ice is cold.", "B", n=2, answer="set/a<2")
    other = make_pair("Sand is dry.", "C", n=3, answer="set/b<1")
    found = [p for p in make_changes([one, same, other]) if p.kind == "other document" and p.sentence == one.sentence]
    assert [p.passages for p in found] == [other.passages]
    assert {p.label for p in found} == {"unsupported"}


@pytest.mark.parametrize(
    ("question", "answer", "stated"),
    [
        ("该站是哪一年启用的？", "2010年", "该站2010年启用的。"),
        ("这座桥的设计者是谁？", "茅以升", "这座桥的设计者是茅以升。"),
        ("它的首都叫什么？", "巴黎", "它的首都叫巴黎。"),
        ("他为什么离开？", "生病", ""),
    ],
)
def test_question_and_answer_become_statement(question: str, answer: str, stated: str) -> None:
    assert make_statement(question, answer) == stated


def test_sample_keeps_complete_answers_in_any_order() -> None:
    pairs = [make_pair(str(n), "text", n=n, answer=f"answer {n // 3}") for n in range(30)]
    drawn = draw_sample(iter(pairs), 10)
    assert len(drawn) == 12
    assert {p.id for p in drawn} == {p.id for p in draw_sample(reversed(pairs), 10)}
