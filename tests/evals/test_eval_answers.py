"""Test the records of both sides, their storage, and their sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bot.answering.answer import Answerer
from bot.answering.verification.verifier import feature_verifiers
from engine.interfaces import EngineStatus
from knowledge.embedding import IDENTITY
from scripts.answer_scores import Item, Record, score
from scripts.answer_sides import Completions, Dense, TeeEngine, ask_kvasir, ask_plain
from scripts.eval_answers import Answers, key_of, report_of
from tests.answering.conftest import EXPENSES, LEAVE, ScriptedEngine, ScriptedSearch, embed_bag_of_words, hit, words

ITEM = Item("q", "xquad-en", "en", "How many days of leave do employees get?", references=("25",))
RIGHT = "Employees receive 25 days of paid annual leave per calendar year."


async def recorded(said: str, *, answerable: bool = True) -> Record:
    engine = ScriptedEngine(words(said))
    tee = TeeEngine(engine, small_model=False)
    search = ScriptedSearch([hit(EXPENSES, "expenses"), hit(LEAVE)], answerable=answerable)
    answerer = Answerer(search, tee, feature_verifiers(embed_bag_of_words, IDENTITY))
    record = await ask_kvasir(answerer, tee, ITEM, "name")
    assert all(sampling.temperature == 0 for _, sampling, _ in engine.asked)
    return record


async def test_kvasir_s_answer_is_recorded_with_the_model_s_own_words() -> None:
    record = await recorded(RIGHT)
    assert record.raw == RIGHT
    assert RIGHT in record.prompt + record.text
    assert score(ITEM, record).good


async def test_an_extract_and_a_refusal_are_no_words_of_the_model() -> None:
    extract = await recorded("")
    assert (extract.text, extract.extract, extract.refused) == ("", True, False)
    refusal = await recorded(RIGHT, answerable=False)
    assert (refusal.text, refusal.extract, refusal.refused, refusal.raw) == ("", False, True, "")


class Vectors:
    """The part of a library that the plain recipe needs."""

    embed_symmetric = staticmethod(embed_bag_of_words)


async def test_the_plain_recipe_shows_the_nearest_chunks_and_keeps_what_is_said() -> None:
    texts = (EXPENSES, LEAVE)
    dense = Dense(("money/expenses.md", "hr/leave.md"), texts, np.asarray(await embed_bag_of_words(texts)))
    tee = TeeEngine(ScriptedEngine(words(f"{RIGHT} [1]")), small_model=False)
    record = await ask_plain(dense, Vectors(), tee, ITEM, "name")  # type: ignore[arg-type]
    assert [document for _, document, _ in record.passages] == ["hr/leave.md", "money/expenses.md"]
    assert f"[1] {LEAVE}" in record.prompt
    assert score(ITEM, record).good


async def test_the_small_model_can_be_announced_from_outside() -> None:
    assert TeeEngine(ScriptedEngine(), small_model=True).status() == EngineStatus(
        ScriptedEngine().status().state, model="scripted", small_model=True
    )


def test_answers_stay_on_disk_and_a_key_changes_with_what_it_depends_on(tmp_path: Path) -> None:
    record = Record("q", "plain", "25 [1]", "25 [1]", False, False, ((1, "a.md", LEAVE),), total_s=1.5)
    key = key_of(ITEM, "plain", "model", "tag")
    Answers(tmp_path / "answers.jsonl").add(key, record)
    assert Answers(tmp_path / "answers.jsonl").get(key) == record
    others = {
        key_of(ITEM, "kvasir", "model", "tag"),
        key_of(ITEM, "plain", "b", "tag"),
        key_of(ITEM, "plain", "model", ""),
    }
    assert len({key, *others}) == 4
    assert all(Answers(tmp_path / "answers.jsonl").get(other) is None for other in others)


def test_a_run_that_was_cut_in_the_middle_of_a_line_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    record = Record("q", "plain", "25\u2028days", "25 [1]", False, False, ((1, "a.md", LEAVE),), total_s=1.5)
    Answers(path).add("one", record)
    path.write_bytes(path.read_bytes() + '{"key": "two", "rec\u00e9'.encode()[:-1])
    answers = Answers(path)
    assert (answers.get("one"), answers.get("two")) == (record, None)
    answers.add("two", record)
    assert Answers(path).get("two") == record


def test_only_questions_that_all_sides_answered_count() -> None:
    record = Record("q", "plain", "25 [1]", "25 [1]", False, False, ((1, "a.md", LEAVE),))
    other = replace(ITEM, set="wiki-zh", lang="zh")
    assert report_of([ITEM, other], {"kvasir": {}, "plain": {ITEM.key: record}}) == {}
    result = report_of([ITEM, other], {"kvasir": {ITEM.key: record}, "plain": {ITEM.key: record, other.key: record}})
    assert result["all en"]["kvasir"]["good"] == 100
    assert "all zh" not in result, "ids are the same in both languages"


def test_a_completion_that_was_cut_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "completions.jsonl"
    path.write_text('{"key": "one", "text": "whole"}\n{"key": "two", "te', encoding="utf-8")
    Completions(path).write("three", "next")
    again = Completions(path)
    assert [again.read(key) for key in ("one", "two", "three")] == ["whole", None, "next"]
