"""Tests of what makes two questions the same for certain."""

from __future__ import annotations

import pytest

from bot.answering.verified_answers.same_question import depends_on_day, has_same_facts, is_same_question
from scripts.question_pairs import PAIR_SETS, read_question_pairs


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the notice period?", "hi, could you tell me what the notice period is? thanks!"),
        ("What is the notice period?", "WHAT'S THE NOTICE PERIOD"),
        ("What is the notice period?", "Kvasir, what is the notice period"),
        ("Who approves expenses above 5000 euros?", "please: who approves expenses above €5,000"),
        ("How much leave is there per year?", "how much leave is there a year"),
        ("Does the insurance cover dental treatment?", "Do you know whether the insurance covers dental treatment?"),
        ("How long must a patient rest?", "Can anyone tell me how long a patient must rest?"),
        ("How do I reset my VPN password?", "how to reset my VPN password"),
        ("What is the VPN limit for plan A?", "what is the vpn limit for a plan A"),
        ("May I take my laptop abroad?", "Am I allowed to take my laptop abroad?"),
        ("如何重置 VPN 密码？", "请问怎么重置VPN密码呢"),
        ("存款超过10万欧元的利率是多少？", "你好，我想知道存款超过100000欧元的利率是多少，谢谢"),
    ],
)
def test_politeness_and_writing_do_not_matter(one: str, other: str) -> None:
    assert is_same_question(one, other)
    assert is_same_question(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I update Kvasir?", "How do I update?"),
        ("Does team A report to team B?", "Does team B report to team A?"),
        ("Which users can see admins?", "Which admins can see users?"),
        ("What can admins see?", "Tell me what admins see"), ("Is overtime paid?", "Isn't overtime paid?"),
        ("Who is Adams?", "Who is Adam?"), ("How long does he work?", "Tell me how long he worked"),
        ("How do I add a few users?", "How do I add few users?"), ("Can I export C++ code?", "Can I export C code?"),
        ("Is 5 > 3?", "Is 5 < 3?"), ("What is hepatitis A treated with?", "What is hepatitis treated with?"),
        ("What is the limit for grade A?", "What is the limit for grade?"),
        ("What is the rate for the US?", "What is the rate for us?"), ("Who is IT?", "Who is it?"),
        ("WHO advises what?", "Who advises what?"), ("Who is on call at the moment?", "Who is on call at the moment?"),
        ("All employees get what?", "Employees get what?"),
        ("What is the limit in 10 days?", "What is the limit in 10 hours?"),
        ("What was the revenue last year?", "What was the revenue last year?"),
        ("去年的收入是多少？", "去年的收入是多少？"), ("加班有工资吗？", "加班没有工资吗？"),
        ("请假怎么办？", "放假怎么办？"), ("?", "?"), ("x" * 600, "x" * 600),
    ],
)  # fmt: skip
def test_other_facts_and_other_words_make_another_question(one: str, other: str) -> None:
    assert not is_same_question(one, other)
    assert not is_same_question(other, one)


@pytest.mark.parametrize("name", PAIR_SETS)
def test_no_near_miss_is_the_same_question(name: str) -> None:
    wrong = [
        (text, near)
        for row in read_question_pairs(name)
        for _, near in row.near_misses
        for text in (row.question, *row.paraphrases, *row.variants)
        if is_same_question(text, near)
    ]
    assert wrong == []


def test_facts_are_compared_across_languages() -> None:
    assert has_same_facts("Who approves expenses above 5000 euros?", "超过5000欧元的费用由谁批准？")
    assert not has_same_facts("Who approves expenses above 5000 euros?", "超过500欧元的费用由谁批准？")
    assert not has_same_facts("What does error E1042 mean?", "错误 E1043 是什么意思？")
    assert not has_same_facts("How do I reset my SAP password?", "如何重置 VPN 密码？")


def test_relative_times_are_found() -> None:
    assert depends_on_day("What is for lunch today?")
    assert depends_on_day("上周有多少订单？")
    assert depends_on_day("Who is at present on call?")
    assert depends_on_day("What is closed in the next two hours?")
    assert depends_on_day("What is closed in the next hour?")
    assert depends_on_day("当前谁值班？")
    assert not depends_on_day("Am I paid on my last working day?")
    assert not depends_on_day("What is for lunch on Fridays?")
