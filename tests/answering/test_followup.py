from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Exchange
from bot.answering.followup import leans, searchable


@pytest.mark.parametrize(
    "question",
    [
        "And in Spain?", "What about contractors?", "How many days?", "Why?", "Is it free?", "Who approves that?",

        "那试用期呢？", "多少天？", "需要谁审批？", "它支持中文吗？", "另外，怎么取消？", "如果我生病了呢？",
        "Can they be carried over?",
    ],
)  # fmt: skip
def test_leans_on_what_was_said(question: str) -> None:
    assert leans(question)


@pytest.mark.parametrize(
    "question",
    [
        "How do I reset my password?", "What is the VPN?", "Is there a canteen in Berlin?", "怎么申请年假？",
        "VPN 怎么连接？",
        "年假可以顺延吗？", "How many days of annual leave do I get?", "Which documents does a loan application need?",
    ],
)  # fmt: skip
def test_stands_alone(question: str) -> None:
    assert not leans(question)


def test_a_follow_up_is_searched_with_its_question() -> None:
    history = [Exchange("How much leave do I get?", "25 days."), Exchange("And contractors?", "None.")]
    assert searchable("Why?", history) == "How much leave do I get? And contractors? Why?"
    assert searchable("How do I reset my password?", history) == "How do I reset my password?"
    assert searchable("那试用期呢？", [Exchange("年假有几天？", "十五天。")]) == "年假有几天？ 那试用期呢？"


@given(st.text(max_size=3000), st.lists(st.builds(Exchange, st.text(max_size=900), st.text(max_size=5)), max_size=5))
def test_what_is_searched_is_bounded_and_holds_the_question(question: str, history: list[Exchange]) -> None:
    query = searchable(question, history)
    assert len(query) <= max(len(question.strip()), 4000)
    assert query.endswith(question.strip()[-200:])
