from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Exchange, Quote
from bot.answering.retrieval.follow_ups import (
    build_search_query,
    build_web_query,
    depends_on_history,
    keep_questions_only,
)

MULTITURN = Path(__file__).parents[3] / "scripts" / "eval_data" / "multiturn.jsonl"


@pytest.mark.parametrize(
    "question",
    [
        "And in Spain?", "What about contractors?", "How many days?", "Why?", "Is it free?", "Who approves that?",

        "那试用期呢？", "多少天？", "需要谁审批？", "它支持中文吗？", "另外，怎么取消？", "如果我生病了呢？",
        "Can they be carried over?", "with status 308?", "for how long by default?", "Only ten percent of it?",
        "which one?",
        "How can I change that port?", "How much may the clock differ for that?", "Same with OpenTelemetry?",
        "发到 ClickHouse 呢？", "换成 SkyWalking 呢？", "用 brotli 的话？", "只要被动的呢？", "失败几次以后它会触发？",
    ],
)  # fmt: skip
def test_dependent_questions_are_recognized(question: str) -> None:
    assert depends_on_history(question)


@pytest.mark.parametrize(
    "question",
    [
        "How do I reset my password?", "What is the VPN?", "Is there a canteen in Berlin?", "怎么申请年假？",
        "VPN 怎么连接？",
        "年假可以顺延吗？", "年会什么时候开", "这周谁值班", "数据丢了怎么办呢？",
        "block prompts that match a pattern", "stop calling a backend that keeps failing",
        "several keys for one consumer",
        "which port does the control API listen on and how do I turn it off",
        "count requests per consumer instead of ip",
        "rate limit by consumer name", "write access logs to a file and filter them",
        "How many days of annual leave do I get?", "Which documents does a loan application need?",
    ],
)  # fmt: skip
def test_independent_questions_are_recognized(question: str) -> None:
    assert not depends_on_history(question)


def test_follow_up_search_includes_earlier_question() -> None:
    history = [Exchange("How much leave do I get?", "25 days."), Exchange("And contractors?", "None.")]
    assert build_search_query("Why?", history) == "How much leave do I get? And contractors? Why?"
    assert build_search_query("How do I reset my password?", history) == "How do I reset my password?"
    assert build_search_query("那试用期呢？", [Exchange("年假有几天？", "十五天。")]) == "年假有几天？ 那试用期呢？"


@pytest.mark.parametrize(
    ("before", "answer", "question", "searched"),
    [
        ("How do I block requests by IP?", "x", "and by user agent?", "How do I block requests and by user agent?"),
        ("How do I send logs to Kafka?", "x", "What about Loki?", "How do I send logs What about Loki?"),
        ("How do I send logs to Kafka?", "x", "with TLS?", "How do I send logs to Kafka? with TLS?"),
        ("How do I send logs to Kafka?", "x", "And the topic?", "How do I send logs to Kafka? And the topic?"),
        ("Go to Kafka?", "x", "And Loki?", "Go to Kafka? And Loki?"),
        (
            "Which plugin limits?",
            "Use limit-count.",
            "Is it fast?",
            "Which plugin limits? Use limit-count. Is it fast?",
        ),
        ("怎样发送到 Kafka？", "用 x", "那 ClickHouse 呢？", "怎样发送到 ClickHouse？ 那 ClickHouse 呢？"),
        ("怎样发送到 Kafka？", "用 x", "那怎么限制 token 数量？", "怎样发送到 Kafka？ 那怎么限制 token 数量？"),
        ("怎样限流？", "用 limit-count。", "它快吗？", "怎样限流？ 用 limit-count。 它快吗？"),
    ],
)
def test_follow_up_search_replaces_pronouns_and_corrections(
    before: str, answer: str, question: str, searched: str
) -> None:
    assert build_search_query(question, [Exchange(before, answer)]) == searched


def test_filters_stay_until_filters_or_subject_change() -> None:
    history = [Exchange("How much leave do I get? in:handbook type:pdf", "25 days.")]
    assert (
        build_search_query("And contractors?", history)
        == "in:handbook type:pdf How much leave do I get? And contractors?"
    )
    assert (
        build_search_query("And contractors? in:wiki", history)
        == "in:wiki type:pdf How much leave do I get? And contractors?"
    )
    assert build_search_query("How do I reset my password?", history) == "How do I reset my password?"
    assert build_search_query("Why?", history, "Why do I get leave?") == "in:handbook type:pdf Why do I get leave?"
    assert build_search_query('Why "this', history).startswith("in:handbook type:pdf How much")


def test_follow_ups_of_multi_turn_set_match_published_figures() -> None:
    """In 68 conversations, no new subject counts as a follow-up, and few follow-ups count as a new subject."""
    rows = [json.loads(line) for line in MULTITURN.read_text(encoding="utf-8").splitlines()]
    wrong = [row["id"] for row in rows if depends_on_history(row["question"]) != (row["kind"] != "topic")]
    assert set(wrong) <= {"zh-m002", "zh-m007", "zh-m017", "zh-m024"}


def test_others_give_words_but_no_filters() -> None:
    quoted = Exchange("", "25 days.", (Quote("How much leave do I get? in:evil", "Bo"),))
    assert build_search_query("And contractors?", [quoted]) == "How much leave do I get? And contractors?"
    own = Exchange("And now? in:handbook", "", quoted.quotes)
    assert build_search_query("Why?", [own]).startswith("in:handbook How much leave do I get?")
    assert build_web_query("And contractors?", keep_questions_only([quoted], ())) == "And contractors?"
    assert build_search_query("Why?", [quoted], "Why leave in:evil") == "Why leave"


@given(st.text(max_size=3000), st.lists(st.builds(Exchange, st.text(max_size=900), st.text(max_size=5)), max_size=5))
def test_follow_up_search_is_bounded_and_contains_question(question: str, history: list[Exchange]) -> None:
    query = build_search_query(question, history)
    assert len(query) <= max(len(question.strip()), 4000)
    assert query.endswith(question.strip()[-200:])
