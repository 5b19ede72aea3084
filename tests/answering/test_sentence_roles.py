"""Tests of sentences that state facts of passages in words of the question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.sentence_roles import adopted_share
from bot.answering.support.interfaces import Verdict
from tests.answering.conftest import Ask, Room

OIL = "The crisis lasted 10 years. Oil prices rose by 300 percent, and Japan sold small cars."
CREEK = "天水围河有3条支流，全长27公里。"


@pytest.mark.parametrize(
    ("question", "answer", "passage"),
    [
        ("How many barrels did Norway export?", "Norway exported 10 barrels. Prices rose.", OIL),
        ("天水围河里有多少种虾？", "天水围河里有3种虾。", CREEK),
        ("坡鹿在德国动物园里有多少只？", "27只", CREEK),  # the answer says nothing of what it counts
    ],
)
async def test_number_from_question_only_is_not_an_answer(
    ask: Ask, room: type[Room], question: str, answer: str, passage: str
) -> None:
    """The sentence is refused although the checker accepts it, and the text after it is not shown."""
    supports = room.checker(other=Verdict("supported", (1,), score=0.9))
    engine = room.engine(room.words(answer))
    reply = await ask(engine, question=question, search=room.search([room.hit(passage)]), checker=supports)
    assert reply.route == "closest"
    assert "**Leave** [1]" in reply.text, "the nearest document is named"
    model_text = reply.text.split("\n> ")[0]
    assert not set(answer.split()) & set(model_text.split())


async def test_verifier_decides_without_asked_number(ask: Ask, room: type[Room]) -> None:
    supports = room.checker(other=Verdict("supported", (1,), score=0.9))
    engine = room.engine(room.words("Norwegian barrels leaked in Japan."))
    search = room.search([room.hit(OIL)])
    reply = await ask(engine, question="Which Norwegian barrels leaked?", search=search, checker=supports)
    assert reply.text == "Norwegian barrels leaked in Japan. [1]"


@pytest.mark.parametrize(
    ("question", "answer", "passage"),
    [
        ("By how much did oil prices climb?", "Oil prices climbed by 300 percent.", OIL),
        ("天水围河有多长？", "天水围河全长27公里。", CREEK),
        ("How long is the creek of Tin Shui Wai?", "The creek of Tin Shui Wai is 27 km long.", CREEK),
    ],
)
async def test_known_words_synonyms_and_translations_pass(
    ask: Ask, room: type[Room], question: str, answer: str, passage: str
) -> None:
    supports = room.checker(other=Verdict("supported", (1,), score=0.9))
    search = room.search([room.hit(passage)])
    reply = await ask(room.engine(room.words(answer)), question=question, search=search, checker=supports)
    assert reply.text == f"{answer}{'' if answer.endswith('。') else ' '}[1]"


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_adopted_words_come_from_question_only(said: str, asked: str, rest: str) -> None:
    assert 0.0 <= adopted_share(said, asked, rest) <= 1.0
    assert adopted_share(said, "", rest) == 0.0
