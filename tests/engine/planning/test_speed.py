"""The speed estimate is within a quarter of published single-stream figures."""

from __future__ import annotations

import pytest

from engine.planning.cards import CardSpec, find_card_spec, parse_machine
from engine.planning.catalogue import resolve_model
from engine.planning.memory import Layout
from engine.planning.speed import PROMPT_TOKENS, estimate_speed


def _spec(name: str) -> CardSpec:
    spec = find_card_spec(parse_machine(name).cards[0])
    assert spec is not None
    return spec


@pytest.mark.parametrize(
    ("name", "card", "precision", "first_s", "rate"),
    [
        ("32B", "H100", "fp8", 0.237, 68),
        ("32B", "A100", "bf16", 1.044, 22),
        ("32B", "L40S", "fp8", 0.929, 19),
        ("14B", "H100", "bf16", 0.156, 85),
        ("8B", "H100", "bf16", 0.086, 151),
    ],
)
def test_distills_on_one_card(name: str, card: str, precision: str, first_s: float, rate: float) -> None:
    variant = resolve_model(name)
    checkpoint = next(one for one in variant.checkpoints if one.precision == precision)
    estimate = estimate_speed(variant, checkpoint, Layout(), _spec(card))
    assert estimate.first_token_s == pytest.approx(first_s, rel=0.25)
    assert estimate.tokens_per_s == pytest.approx(rate, rel=0.25)
    assert estimate.answer_s > estimate.first_token_s


def test_r1_in_four_bits_on_eight_h100() -> None:
    """Published for 1,000 tokens in: 105 ms, 62 tokens/s."""
    r1 = resolve_model("R1-0528")
    estimate = estimate_speed(r1, r1.checkpoints[-1], Layout(tp=8), _spec("H100"))
    assert estimate.first_token_s * 1000 / PROMPT_TOKENS == pytest.approx(0.105, rel=0.25)
    assert estimate.tokens_per_s == pytest.approx(62, rel=0.25)


def test_pipeline_of_few_cards_is_not_faster_than_eight_cards() -> None:
    """Layers of experts take their time however their bytes are distributed."""
    r1, card = resolve_model("R1"), _spec("H200")
    int4 = next(one for one in r1.checkpoints if one.precision == "int4")
    alone, eight = (estimate_speed(r1, int4, layout, card).tokens_per_s for layout in (Layout(pp=3), Layout(tp=8)))
    assert alone < eight
