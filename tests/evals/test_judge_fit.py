"""Test the stored replies of the judge's evaluation, and the fit of the judge's parameters."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bot.languages.registry import Language
from engine.interfaces import ChatMessage
from scripts.support.judge_fit import ACCEPTED_SHARE, JudgedSentence, fit_judge
from scripts.support.recording import RecordedEngine
from scripts.support.sets import Pair
from tests.engine.fakes import fake_sglang, ready_engine

ASK = [ChatMessage("user", "<passage 1: a>\nParis is in France.\n</passage>\n\nIs Paris in France?")]


async def _choose(engine: RecordedEngine) -> tuple[float, ...]:
    return await engine.score_options(ASK, ("yes", "no"), request_id="r", timeout_s=5)


async def test_a_reply_is_asked_for_once_over_all_runs(tmp_path: Path) -> None:
    async with fake_sglang() as sglang:
        sglang.choose([("yes", math.log(0.6)), ("no", math.log(0.2))])
        async with ready_engine(sglang.url, tmp_path) as engine:
            for _ in range(2):
                recorded = RecordedEngine(engine, tmp_path / "replies.jsonl")
                assert await _choose(recorded) == await _choose(recorded) == pytest.approx((0.75, 0.25))
                assert [row["warm"] for row in recorded.rows] == [False, False]
    assert len(sglang.bodies) == 1


async def test_a_failure_ends_the_measurement(tmp_path: Path) -> None:
    async with fake_sglang() as sglang:
        sglang.refuse(500, {})
        async with ready_engine(sglang.url, tmp_path) as engine:
            with pytest.raises(RuntimeError, match="did not judge"):
                await _choose(RecordedEngine(engine, tmp_path / "replies.jsonl"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_fit_keeps_the_supported_ones_and_drops_most_others(language: Language) -> None:
    examples = [
        JudgedSentence(
            Pair(f"{n}{label}", "made", language, (), "A sentence.", label),
            language,
            side + n / 20 % 1.5 + 3,
            side + 0.5,
        )
        for n in range(100)
        for label, side in (("supported", 1), ("unsupported", -1))
    ]
    found = fit_judge([*examples, *_mirrored(examples)])
    shares = {
        label: [
            math.log((p := found.probability(one.logit, language)) / (1 - p)) + found.features_weight * one.margin >= 0
            for one in examples
            if one.pair.label == label
        ]
        for label in ("supported", "unsupported")
    }
    assert sum(shares["supported"]) == pytest.approx(100 * ACCEPTED_SHARE, abs=2)
    assert sum(shares["unsupported"]) <= 10


def _mirrored(examples: list[JudgedSentence]) -> list[JudgedSentence]:
    """Return the examples in the other language, where every yes is cheaper."""
    other: Language = "zh" if examples[0].language == "en" else "en"
    return [JudgedSentence(one.pair, other, one.logit + 2, one.margin) for one in examples]
