"""Tests of the engine as a judge of questions, and of the phrasings that it writes, over HTTP."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.answering.verified_answers.phrasings import PhrasingWriter, accept_phrasings
from bot.answering.verified_answers.question_judge import MeasuredThresholds, QuestionJudge, choose_threshold
from engine.service import Engine
from tests.engine.fakes import DONE, FakeSglang, delta, fake_sglang, ready_engine

ONE, OTHER = "How much leave is there?", "How many days off do we get?"


@pytest.fixture
async def sglang() -> AsyncIterator[FakeSglang]:
    async with fake_sglang() as fake:
        fake.model = "DeepSeek-R1"
        yield fake


@pytest.fixture
async def engine(sglang: FakeSglang, tmp_path: Path) -> AsyncIterator[Engine]:
    async with ready_engine(sglang.url, tmp_path) as made:
        yield made


async def test_judge_is_sure_above_the_threshold_of_the_model(sglang: FakeSglang, engine: Engine) -> None:
    judge = QuestionJudge(engine, lambda _: 5.0)
    assert judge.is_ready
    sglang.choose((("Yes", math.log(0.999)), ("No", math.log(0.001))))
    assert await judge.is_same(ONE, OTHER)
    prompts = [body["messages"][0]["content"] for body in sglang.bodies]
    assert {text.partition("\n")[0] for text in prompts} == {f"Question A: {ONE}", f"Question A: {OTHER}"}, (
        "both orders"
    )
    sglang.choose((("Yes", math.log(0.98)), ("No", math.log(0.02))))
    assert not await judge.is_same(ONE, OTHER)


async def test_model_without_a_threshold_is_not_asked(sglang: FakeSglang, engine: Engine) -> None:
    judge = QuestionJudge(engine, lambda _: None)
    assert not judge.is_ready
    assert not await judge.is_same(ONE, OTHER)
    assert sglang.bodies == []


def test_threshold_is_above_every_near_miss() -> None:
    assert choose_threshold([9.0, 8.0, 1.0], [5.0, -2.0]) == 6.0
    assert choose_threshold([9.0, 8.0, 1.0], [-2.0]) == pytest.approx(4.6, abs=0.01), "a probability of 0.99"
    assert choose_threshold([5.5, 8.0, 1.0], [5.0]) is None, "too few paraphrases are above"


def test_measured_thresholds_are_stored(tmp_path: Path) -> None:
    thresholds = MeasuredThresholds(tmp_path)
    assert not thresholds.is_known("r1")
    thresholds.save_threshold("r1", 6.0)
    thresholds.save_threshold("small", None)
    again = MeasuredThresholds(tmp_path)
    assert (again.find_threshold("r1"), again.find_threshold("small"), again.find_threshold(None)) == (6.0, None, None)
    assert again.is_known("small")
    (tmp_path / "question_judge.json").write_text('{"asked": "other", "models": {"r1": 6.0}}', encoding="utf-8")
    assert MeasuredThresholds(tmp_path).find_threshold("r1") is None, "measured with other questions"


def test_phrasings_with_other_facts_are_left_out() -> None:
    written = (
        "<think>Hm?</think>\n1. How much leave do we get in 2024?\n- How much leave did we get in 2023?\n"
        "How much leave do we not get in 2024?\nSure, here they are\n* 2024年有多少天年假？\n2025年有多少天年假？\n"
        "How much leave do we get in 2024\nhow much leave do we get in 2024??\n今年有多少天年假？"
    )
    assert accept_phrasings(written, "How many days of leave are there in 2024?") == [
        "How much leave do we get in 2024?",
        "2024年有多少天年假？",
    ]


async def test_engine_writes_phrasings(sglang: FakeSglang, engine: Engine) -> None:
    sglang.stream(delta(content="How many days off do we get?\n我们有几天年假？"), delta(finish="stop"), DONE)
    assert list(await PhrasingWriter(engine).write_phrasings(ONE)) == [
        "How many days off do we get?",
        "我们有几天年假？",
    ]
    sglang.refuse(500, {"error": "broken"})
    assert list(await PhrasingWriter(engine, within_s=0.5).write_phrasings(ONE)) == []
