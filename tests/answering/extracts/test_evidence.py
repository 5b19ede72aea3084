"""Tests of the extract beside the answer of a small model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from bot.answering.answer import Answerer
from bot.answering.events import Finished, Passage, Question
from bot.answering.extracts.evidence import lacks_source, says_less
from bot.answering.support.interfaces import Verdict
from engine.interfaces import EngineState, EngineStatus
from tests.answering.conftest import Ask, Room

SMALL = EngineStatus(EngineState.READY, small_model=True)
DAYS = "Employees receive 25 days of paid annual leave per calendar year."
HOW_MANY = "How many days of annual leave do I get?"


def make_passage(text: str, title: str = "") -> Passage:
    return Passage(1, "docs", "a.md", title, "", None, text)


@pytest.mark.parametrize(
    ("question", "sentence", "less"),
    [
        (HOW_MANY, "You get annual leave.", True),
        (HOW_MANY, "You get 25 days of annual leave.", False),
        ("When do the carried days expire?", "They expire in the following year.", True),
        ("When do the carried days expire?", "They expire on 31 March.", False),
        ("Who approves my leave?", "The manager approves it.", False),  # a pattern of names misses too many
    ],
)
def test_sentence_without_the_asked_figure_says_less(
    room: type[Room], question: str, sentence: str, *, less: bool
) -> None:
    assert says_less(sentence, [make_passage(room.leave)], question) is less


@pytest.mark.parametrize(
    ("question", "sentence", "text"),
    [
        ("How long is parental leave?", "Parental leave is unlimited.", "Parental leave is unlimited since 2022."),
        (
            "When do I call the help desk?",
            "Call it if your laptop is lost.",
            "Monday to Friday, if your laptop is lost.",
        ),
        (
            "Is the limit 120 or 150 euros, how much?",
            "It is 120 euros.",
            "The limit is 120 euros, before 2020 it was 90.",
        ),
        ("How many days?", "Requests go to the manager.", "Requests go to the manager. They take 3 days."),
    ],
)
def test_answer_without_a_figure_of_its_own_does_not_say_less(question: str, sentence: str, text: str) -> None:
    assert not says_less(sentence, [make_passage(text)], question)


PREMIUMS = (
    "The company pays 75% of the monthly premium.\n\n- Employee and children: $186.44\n- Employee and family: $287.65"
)
STEPS = "Go to Settings. Click Security. Then choose Reset."
CODE = "公司为员工提供年假，每年 20 天。\n\n```sh\nkvasir sync\n```"


@pytest.mark.parametrize(
    ("sentence", "title", "text", "lacks"),
    [
        ("The monthly premium for my family comes out of my paycheck, $186.44.", "", PREMIUMS, True),
        ("For an employee and family it is $287.65.", "", PREMIUMS, False),
        ("The dental cover of Metlife is $287.65.", "", PREMIUMS, True),
        ("The dental cover of Metlife is $287.65.", "Dental cover of Metlife", PREMIUMS, False),
        ("Go to Settings, click Security, then choose Reset.", "", STEPS, False),
        ("Employees get 20 days of annual leave each year.", "", CODE, False),  # another language, but for its code
    ],
)
def test_sentence_lacks_a_source_without_half_of_its_words(
    sentence: str, title: str, text: str, *, lacks: bool
) -> None:
    assert lacks_source(sentence, [make_passage(text, title)]) is lacks


async def test_sentence_without_a_source_gives_way_to_the_closest_passages(ask: Ask, room: type[Room]) -> None:
    said = "The monthly premium for my family comes out of my paycheck, $186.44."
    engine = room.engine(room.words(said), status=SMALL)
    question = "What part of the monthly premium for my family comes out of my paycheck?"
    reply = await ask(engine, question=question, search=room.search([room.hit(PREMIUMS)]), checker=room.checker())
    assert (reply.route, reply.finished[0].removed_count) == ("closest", 1)
    assert "comes out of my paycheck" not in reply.text
    assert "family: $287.65" in reply.text


async def test_list_item_is_not_repeated_under_the_answer(ask: Ask, room: type[Room]) -> None:
    text = "- The notice period is 30 days.\n- Letters go to the office."
    engine = room.engine(room.words("The notice period is 30 days. Letters go to the office."), status=SMALL)
    reply = await ask(engine, question="What is the notice period?", search=room.search([room.hit(text)]))
    assert reply.text == "The notice period is 30 days. [1] Letters go to the office. [1]"


def test_empty_passage_says_nothing_more() -> None:
    assert not says_less("You get leave.", [], HOW_MANY)


async def test_small_model_s_answer_stands_above_the_sentences_it_rests_on(ask: Ask, room: type[Room]) -> None:
    reply = await ask(room.engine(room.words("You get 25 days of annual leave."), status=SMALL), question=HOW_MANY)
    answer, _, evidence = reply.text.partition("\n\n")
    assert answer == "You get 25 days of annual leave. [1]"
    assert evidence.startswith(f"**Leave** [1]\n> {DAYS}")
    assert reply.route == "engine"


async def test_sentence_that_says_less_gives_way_to_its_extract(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(room.words("Employees receive paid annual leave."), status=SMALL)
    reply = await ask(engine, question=HOW_MANY, checker=room.checker())
    assert "receive paid" not in reply.text
    assert DAYS in reply.text.replace("**", "")
    assert (reply.route, reply.notices) == ("passages", ["These are extracts from the documents, not an answer."])


async def test_extract_does_not_repeat_a_quoted_sentence(ask: Ask, room: type[Room]) -> None:
    text = "The office opens at 9 in the morning."
    engine = room.engine(room.words(text), status=SMALL)
    reply = await ask(engine, question="When does the office open?", search=room.search([room.hit(text)]))
    assert reply.text == f"{text} [1]"


async def test_unsupported_sentence_of_a_small_model_is_left_out(ask: Ask, room: type[Room]) -> None:
    checker = room.checker({"cats": Verdict("unsupported")})
    engine = room.engine(room.words("You get 25 days of annual leave. You get 27 cats."), status=SMALL)
    reply = await ask(engine, question=HOW_MANY, checker=checker)
    assert "cats" not in reply.text
    assert reply.finished[0].removed_count == 1


async def test_large_model_s_answer_stands_alone(ask: Ask, room: type[Room]) -> None:
    reply = await ask(room.engine(room.words("You get 25 days of annual leave.")), question=HOW_MANY)
    assert reply.text == "You get 25 days of annual leave. [1]"


@dataclass
class ScriptedJudge:
    """A judge that says whether the passages answer, and nothing of claims."""

    finds: bool | None
    features_weight: float = 0.0

    async def judge(self, claim: str, passages: Any) -> None:
        del claim, passages

    async def finds_answer(self, question: str) -> bool | None:
        assert question == HOW_MANY
        return self.finds


@pytest.mark.parametrize(
    ("judge", "answerable", "route"),
    [
        (None, False, "closest"),
        (ScriptedJudge(finds=False), False, "closest"),
        (ScriptedJudge(finds=None), False, "passages"),
        (ScriptedJudge(finds=True), False, "engine"),
        (ScriptedJudge(finds=False), True, "engine"),
        (None, True, "engine"),
    ],
)
async def test_small_model_is_asked_where_search_or_judge_is_sure(
    room: type[Room], judge: ScriptedJudge | None, route: str, *, answerable: bool
) -> None:
    engine = room.engine(room.words("You get 25 days of annual leave."), status=SMALL)
    search = room.search([room.hit(room.leave)], answerable=answerable)
    answerer = Answerer(search, engine, room.new_checker, new_judge=lambda _prompt, _requester: judge)
    *_, end = [event async for event in answerer.answer(Question(HOW_MANY))]
    assert isinstance(end, Finished)
    assert end.route == route
    assert bool(engine.asked) == (route == "engine")
