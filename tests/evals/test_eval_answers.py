"""Test the records of both sides, their storage, and their sums."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bot.answering.answer import Answerer
from bot.answering.events import AnswerEvent, Finished, Notice, Question, Text
from bot.answering.support.checker import feature_checkers
from engine.interfaces import ChatMessage, EngineStatus
from knowledge.embedding import IDENTITY, find_calibration
from scripts.answer_scores import Item, Record, score
from scripts.answer_sides import Completions, Dense, TeeEngine, ask_kvasir, ask_plain
from scripts.eval_answers import Answers, code_tag, key_of, report_of, show
from tests.answering.conftest import EXPENSES, LEAVE, ScriptedEngine, ScriptedSearch, embed_bag_of_words, hit, words

ITEM = Item("q", "xquad-en", "en", "How many days of leave do employees get?", references=("25",))
RIGHT = "Employees receive 25 days of paid annual leave per calendar year."


async def recorded(said: str, *, related: bool = True) -> Record:
    engine = ScriptedEngine(words(said))
    tee = TeeEngine(engine, small_model=False)
    search = ScriptedSearch([hit(EXPENSES, "expenses"), hit(LEAVE)], related=related)
    answerer = Answerer(search, tee, feature_checkers(embed_bag_of_words, find_calibration(IDENTITY).support))
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
    refusal = await recorded(RIGHT, related=False)
    assert (refusal.text, refusal.extract, refusal.refused, refusal.raw) == ("", False, True, "")


async def test_extracts_are_kept_apart_from_the_model_s_words() -> None:
    extract = await recorded("")
    assert LEAVE.split(". ", maxsplit=1)[0] in extract.extracts.replace("**", "")
    assert extract.retrieved[1] == ("hr/leave.md", LEAVE), "in the order of the search"
    refusal = await recorded(RIGHT, related=False)
    assert (refusal.extracts, score(ITEM, refusal).unknown) == ("", True)


BLOCK = "**Leave** [1]\n> Employees receive 25 days."


@pytest.mark.parametrize(
    ("events", "route", "text", "extracts"),
    [
        (
            [Text("You get leave [1]."), Text(f"\n\n{BLOCK}", is_extract=True)],
            "engine",
            "You get leave [1].",
            f"\n\n{BLOCK}",
        ),
        (
            [Text("You get leave [1]."), Notice("Small."), Text("more", is_extract=True)],
            "engine",
            "You get leave [1].",
            "more",
        ),
        ([Text(f"This comes closest:\n\n{BLOCK}", is_extract=True)], "closest", "", f"This comes closest:\n\n{BLOCK}"),
        ([Notice("No engine."), Text(BLOCK, is_extract=True)], "passages", "", BLOCK),
        ([Text("Perhaps 30. ⚠"), Notice("Marked."), Text(BLOCK, is_extract=True)], "passages", "", BLOCK),
        ([Text("I do not know.")], "unknown", "", ""),
    ],
)
async def test_each_route_is_an_answer_the_closest_passages_or_nothing(
    events: list[AnswerEvent], route: Any, text: str, extracts: str
) -> None:
    tee = TeeEngine(ScriptedEngine(), small_model=False)
    answerer: Any = ScriptedAnswerer([*events, Finished(route, (), {"total": 1.0})])
    record = await ask_kvasir(answerer, tee, ITEM, "name")
    assert (record.text, record.extracts) == (text, extracts)
    assert (record.extract, record.refused) == (bool(extracts), route == "unknown")
    how = score(ITEM, record)
    assert how.closest == (route in {"closest", "passages"})
    assert how.shown == ("25 days" in extracts)


class ScriptedAnswerer:
    """An answerer with a script of events."""

    def __init__(self, events: list[AnswerEvent]) -> None:
        self._events = events

    async def answer(self, _: Question) -> AsyncGenerator[AnswerEvent, None]:
        for event in self._events:
            yield event


class Vectors:
    """The part of a library that the plain recipe needs."""

    embedder = SimpleNamespace(embed_symmetric=embed_bag_of_words)


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
    assert result["all en"]["extracts"]["good"] == 100
    assert result["all en"]["kvasir"]["good"] == 100
    assert "all zh" not in result, "ids are the same in both languages"


def test_a_completion_that_was_cut_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "completions.jsonl"
    path.write_text('{"key": "one", "text": "whole"}\n{"key": "two", "te', encoding="utf-8")
    Completions(path).write("three", "next")
    again = Completions(path)
    assert [again.read(key) for key in ("one", "two", "three")] == ["whole", None, "next"]


async def test_no_prompt_and_no_judgement_is_asked_twice_on_either_side(tmp_path: Path) -> None:
    path = tmp_path / "completions.jsonl"
    asked = []
    for _ in range(2):
        engine = JudgingEngine(words(f"{RIGHT} [1]"))
        tee = TeeEngine(engine, small_model=False, completions=Completions(path))
        answerer = Answerer(
            ScriptedSearch([hit(LEAVE)]), tee, feature_checkers(embed_bag_of_words, find_calibration(IDENTITY).support)
        )
        dense = Dense(("hr/leave.md",), (LEAVE,), np.asarray(await embed_bag_of_words([LEAVE])))
        records = (
            await ask_kvasir(answerer, tee, ITEM, "kvasir"),
            await ask_plain(dense, Vectors(), tee, ITEM, "plain"),  # type: ignore[arg-type]
        )
        scores = await tee.score_options([ChatMessage("user", "Is it so?")], ["yes", "no"], request_id="a", timeout_s=1)
        asked.append((len(engine.asked), engine.judged, [record.replayed for record in records], scores))
        assert all(score(ITEM, record).good for record in records)
    assert asked == [(2, 1, [False, False], (0.75, 0.25)), (0, 0, [True, True], (0.75, 0.25))]


class JudgingEngine(ScriptedEngine):
    """A scripted engine that also judges."""

    judged = 0

    async def score_options(self, *_: Any, **__: Any) -> tuple[float, ...]:
        self.judged += 1
        return (0.75, 0.25)


def test_the_end_of_a_completion_is_kept_and_an_aborted_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "completions.jsonl"
    for reason in ("stop", "length", "abort"):
        Completions(path).write_completion(reason, "text", reason)
    again = Completions(path)
    kept = [again.read_completion(key) for key in ("stop", "length", "abort")]
    assert kept == [("text", "stop"), ("text", "length"), None]


def test_the_kinds_of_questions_have_figures_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    record = Record("q", "plain", "25 [1]", "25 [1]", False, False, ((1, "a.md", LEAVE),))
    items = [replace(ITEM, set="own-words-handbook", id=kind, kind=kind) for kind in ("table", "none")]
    items[1] = replace(items[1], references=())
    result = report_of(items, {side: {item.key: record for item in items} for side in ("kvasir", "plain")})
    assert list(result) == ["own-words-handbook en"], "sets in own words are not part of the sums"
    assert result["own-words-handbook en"]["kinds"]["table"]["kvasir"]["accuracy"] == 100
    show(result)
    printed = capsys.readouterr().out
    assert "own-words-handbook en, none" in printed
    assert "shown, Kvasir minus extracts: +0 points" in printed


def test_an_answer_depends_on_the_code_behind_its_side() -> None:
    assert code_tag("kvasir", "gateway") != code_tag("plain", "gateway")
    assert code_tag("plain", "gateway") == code_tag("plain", "xquad-en") != code_tag("plain", "newcomer")
