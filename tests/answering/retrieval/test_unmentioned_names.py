"""Tests of names and years that no passage mentions, about which a small model is not asked."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.answering.retrieval.unmentioned_names import find_unmentioned
from engine.interfaces import EngineState, EngineStatus
from tests.answering.conftest import Ask, Room, hit

YEAR = 2026
TEXT = "Routes are created with the Admin API. Normans settled in Norway in 1066. OpenID is spoken for single sign-on."


@pytest.mark.parametrize(
    ("question", "unmentioned"),
    [
        ("How do I register a route with Terraform?", ["Terraform"]),
        ("Can the Admin API send routes to RabbitMQ or LoRA?", ["RabbitMQ", "LoRA"]),
        ("怎么用 Terraform 创建路由？", ["Terraform"]),
        ("Who painted the Sistine Chapel, and who the Mona Lisa?", ["Sistine Chapel", "Mona Lisa"]),
        ("Who painted the Chapel in Rome with Terraform?", ["Chapel", "Rome", "Terraform"]),
        ("What happened in Norway in 1973?", ["1973"]),
        ("1973年挪威发生了什么？", ["1973"]),
    ],
)
def test_unmentioned_name_or_past_year_is_reported(question: str, unmentioned: list[str]) -> None:
    assert find_unmentioned(question, [hit(TEXT, confidence=0.5)], YEAR) == unmentioned


@pytest.mark.parametrize(
    "question",
    [
        "Where did the Norman settle?",  # other forms
        "Who settled in Norwey?",  # a slip of the pen
        "Does it speak Open-ID and SSO?",  # parts of a name; initials
        "How do I register a route?",
        "How many days of leave do I get in 2026, 2027 and 2025?",  # a document need not name the present year
        "Terraform",  # a word at the beginning need not be a name
        "怎么 reset 路由？",  # a word of another language may be translated in the documents
        "What does error 4290 mean, and 10.1973?",
        "",
    ],
)
def test_other_forms_and_optional_names_are_not_reported(question: str) -> None:
    assert find_unmentioned(question, [hit(TEXT, confidence=0.5)], YEAR) == []


def test_confident_passages_need_no_name() -> None:
    question = "I am Max from Sales, how do I create a route?"
    assert find_unmentioned(question, [hit(TEXT, confidence=0.5)], YEAR) == ["Max", "Sales"]
    assert find_unmentioned(question, [hit(TEXT, confidence=0.8)], YEAR) == []


def test_chinese_passage_may_translate_names_but_not_acronyms() -> None:
    passages = [hit("伦敦办公室的员工每年享有十五天带薪年假。", confidence=0.5)]
    assert find_unmentioned("How much leave is there in London?", passages, YEAR) == []
    assert find_unmentioned("How much leave does the office get by SMTP?", passages, YEAR) == ["SMTP"]


@example("¹0A0", "")
@given(st.text(max_size=80), st.text(max_size=80))
def test_words_of_passages_are_never_reported(question: str, rest: str) -> None:
    assert find_unmentioned(question, [hit(f"{question} {rest}", confidence=0.1)], YEAR) == []
    assert all(one in question for one in find_unmentioned(question, [hit(rest, confidence=0.1)], YEAR))


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How many days of annual leave do I get at Globex in 1973?", "no passage mentions Globex, 1973."),
        ("在 Globex 有多少天年假？", "没有段落提到Globex。"),
    ],
)
async def test_small_model_skips_question_with_unmentioned_name(
    ask: Ask, room: type[Room], question: str, said: str
) -> None:
    search = room.search([room.hit(room.leave, confidence=0.5)])
    small, large = (
        room.engine(room.words("X."), status=EngineStatus(EngineState.READY, small_model=is_small))
        for is_small in (True, False)
    )
    reply = await ask(small, search=search, question=question)
    assert reply.route == "closest"
    assert said.rstrip(".") in reply.text
    assert "**Leave** [1]\n> " in reply.text, "the nearest document is quoted"
    assert not small.asked
    await ask(large, search=search, question=question)
    assert large.asked, "a large model says itself what the passages lack"
