"""Tests of the thinking budget of each depth, and of the notice for unsupported depths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.answering.prompt import plan_budget
from bot.answering.thinking import DEPTHS, LENGTHS, SHARES, Depth, Length, Share, allot_tokens, describe_thinking_limit
from engine.interfaces import ThinkingControl


@given(st.sampled_from(DEPTHS), st.sampled_from(LENGTHS), st.integers(1, 60_000))
def test_thinking_budget_leaves_room_for_answer(depth: Depth, length: Length, room: int) -> None:
    share = allot_tokens(depth, length, room)
    factor = {"short": 0.5, "normal": 1, "long": 2}[length]
    wished = Share(SHARES[depth].thinking, int(SHARES[depth].answer * factor))
    assert 0 <= share.thinking + share.answer <= room
    assert share.answer >= min(wished.answer, room // 2)
    assert share.thinking <= wished.thinking
    assert room < wished.thinking + wished.answer or share == wished


def test_depth_sets_thinking_budget() -> None:
    deep, normal, off = (plan_budget(131_072, small_model=False, depth=depth) for depth in DEPTHS)
    assert deep.thinking_tokens > normal.thinking_tokens > off.thinking_tokens == 0
    assert deep.answer_tokens == deep.thinking_tokens + SHARES["deep"].answer
    assert off.answer_tokens == SHARES["off"].answer


def test_length_sets_room_for_answer_and_leaves_thinking() -> None:
    short, normal, long = (plan_budget(131_072, small_model=False, length=length) for length in LENGTHS)
    assert short.thinking_tokens == normal.thinking_tokens == long.thinking_tokens
    answers = [budget.answer_tokens - budget.thinking_tokens for budget in (short, normal, long)]
    assert answers == [512, 1_024, 2_048]


def test_only_unsupported_depth_has_notice() -> None:
    controls = (ThinkingControl.NONE, ThinkingControl.SWITCH, ThinkingControl.BUDGET, None)
    assert [bool(describe_thinking_limit(control)) for control in controls] == [
        True, True, False, False,
    ]  # fmt: skip
    assert "不会思考" in describe_thinking_limit(ThinkingControl.NONE, "zh")
