"""Search refuses an embedder for which nothing was measured."""

from __future__ import annotations

import pytest

from knowledge.embedding import IDENTITY
from knowledge.errors import EmbedderUncalibrated
from knowledge.search.calibration import find_calibration


def test_the_embedder_that_is_opened_is_calibrated() -> None:
    assert 0 < find_calibration(IDENTITY).answerable < 1


def test_an_unknown_embedder_is_refused_with_the_next_step() -> None:
    with pytest.raises(EmbedderUncalibrated) as refused:
        find_calibration("bge-m3:1")
    said = str(refused.value)
    assert "bge-m3:1" in said
    assert "scripts/eval_retrieval.py" in said
    assert IDENTITY in said
