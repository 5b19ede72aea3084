"""Tests of the phrasings that the engine writes, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.answering.verified_answers.phrasings import accept_phrasings, write_phrasings
from engine.service import Engine
from tests.engine.fakes import DONE, FakeSglang, delta, fake_sglang, ready_engine

ONE = "How much leave is there?"


@pytest.fixture
async def sglang() -> AsyncIterator[FakeSglang]:
    async with fake_sglang() as fake:
        fake.model = "DeepSeek-R1"
        yield fake


@pytest.fixture
async def engine(sglang: FakeSglang, tmp_path: Path) -> AsyncIterator[Engine]:
    async with ready_engine(sglang.url, tmp_path) as made:
        yield made


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
    assert list(await write_phrasings(engine, ONE)) == ["How many days off do we get?", "我们有几天年假？"]
    sglang.refuse(500, {"error": "broken"})
    assert list(await write_phrasings(engine, ONE, within_s=0.5)) == []
