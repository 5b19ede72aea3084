"""Tests of the calibration of a judge: the fit, its file, and the measurement of a new model."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.support.calibration import (
    CALIBRATED_MODELS,
    Calibrations,
    auc,
    calibrate,
    committed_pairs,
    fit_calibration,
)
from bot.answering.support.judge import Calibration
from bot.off_peak import calibrate_judge
from engine.service import Engine
from tests.engine.fakes import FakeSglang, chosen, fake_sglang, ready_engine

MODEL = "A-Model-7B"


@pytest.fixture
async def sglang() -> AsyncIterator[FakeSglang]:
    async with fake_sglang() as fake:
        fake.model = MODEL
        yield fake


@pytest.fixture
async def engine(sglang: FakeSglang, tmp_path: Path) -> AsyncIterator[Engine]:
    async with ready_engine(sglang.url, tmp_path) as made:
        yield made


def script_judge(sglang: FakeSglang, yes_of: Callable[[str], float]) -> None:
    """Make the server say yes with a probability that depends on the claim."""

    async def chat(request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["messages"][-1]["content"]
        yes = yes_of(prompt)
        words = ("是", "否") if "只回答" in prompt else ("Yes", "No")
        return web.json_response(chosen(list(zip(words, (math.log(yes), math.log(1 - yes)), strict=True))))

    sglang.chat = chat


def is_stated(prompt: str) -> bool:
    return any(claim in prompt.rpartition("</passage>")[2] for pairs in committed_pairs() for claim in pairs.stated)


def test_calibration_pairs_have_both_languages_and_kinds() -> None:
    pairs = committed_pairs()
    true = sum(len(one.stated) for one in pairs)
    false = sum(len(one.not_stated) for one in pairs)
    assert min(true, false) >= 50
    assert sum(one.stated[0].isascii() for one in pairs) == pytest.approx(len(pairs) / 2, abs=4)
    assert all(one.stated and one.not_stated for one in pairs)


async def test_new_model_is_calibrated_once_and_saved(sglang: FakeSglang, engine: Engine, tmp_path: Path) -> None:
    """A bias towards yes is corrected, and the next start loads the saved calibration."""
    script_judge(sglang, lambda prompt: 0.9 if is_stated(prompt) else 0.6)
    calibrations = Calibrations(tmp_path)
    assert calibrations.find_calibration(MODEL) is None
    await calibrate_judge(engine, calibrations)
    prompt = len(sglang.bodies)
    assert prompt == sum(len(one.stated) + len(one.not_stated) for one in committed_pairs())
    kept = Calibrations(tmp_path).find_calibration(MODEL)
    assert kept == calibrations.find_calibration(MODEL)
    assert kept is not None
    assert kept.probability(math.log(0.9 / 0.1), "zh") > 0.8
    assert kept.probability(math.log(0.6 / 0.4), "en") < 0.2
    await calibrate_judge(engine, Calibrations(tmp_path))
    assert len(sglang.bodies) == prompt, "not measured again"


async def test_model_with_useless_yes_is_not_a_judge(sglang: FakeSglang, engine: Engine, tmp_path: Path) -> None:
    script_judge(sglang, lambda _: 0.8)
    calibrations = Calibrations(tmp_path)
    await calibrate_judge(engine, calibrations)
    assert calibrations.find_calibration(MODEL) is None
    assert calibrations.is_known(MODEL)


async def test_slow_calibration_is_abandoned(sglang: FakeSglang, engine: Engine, tmp_path: Path) -> None:
    sglang.refuse(503, {"message": "The request queue is full."})
    with pytest.raises(TimeoutError):
        await calibrate(engine, 0.05)
    sglang.refuse(500, {})
    await calibrate_judge(engine, Calibrations(tmp_path))
    assert not Calibrations(tmp_path).is_known(MODEL)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"asked": "another release", "models": {"A-Model-7B": null}}'])
def test_unusable_calibration_file_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "judge.json").write_text(text)
    calibrations = Calibrations(tmp_path)
    assert not calibrations.is_known(MODEL)
    calibrations.keep_calibration(MODEL, Calibration(1.0, {"en": -0.5, "zh": 0.2}, 0.4))
    assert Calibrations(tmp_path).find_calibration(MODEL) == Calibration(1.0, {"en": -0.5, "zh": 0.2}, 0.4)


def test_known_models_need_no_file(tmp_path: Path) -> None:
    for model, calibration in CALIBRATED_MODELS.items():
        assert Calibrations(tmp_path).find_calibration(model) == calibration
        assert Calibrations(tmp_path).is_known(model)
    assert Calibrations(tmp_path).find_calibration(None) is None


@given(st.floats(0.5, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_fit_finds_bias_of_each_language(spread: float, english: float, chinese: float) -> None:
    """At a neutral logit, half of the claims are stated, as in the pairs."""
    rows = [
        (bias + spread * (side + n / 10), side > 0, language)
        for n in range(-20, 21)
        for side in (-1, 1)
        for bias, language in ((english, "en"), (chinese, "zh"))
    ]
    found = fit_calibration(*zip(*rows, strict=True))
    assert found is not None
    assert found.slope > 0
    assert found.probability(english, "en") == pytest.approx(0.5, abs=0.1)
    assert found.probability(chinese, "zh") == pytest.approx(0.5, abs=0.1)


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([1.0, 1.0, 2.0, 0.0]), [True, False, True, False]) == 0.875
