"""Tests of comparing a question with single sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.answer import Answerer
from bot.answering.events import Passage, Question, Sources, Text
from bot.answering.extracts.sentence_similarities import COMPARED, compare_sentences, order_passages
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import EmbedderError
from tests.answering.conftest import Room

TEXTS = ["Bread is baked daily. It costs two euros.", "The oven is hot. Never touch it.", "Rolls are sold at seven."]


def make_passages(texts: Sequence[str]) -> list[Passage]:
    return [Passage(n, "docs", f"{n}.md", "Bakery", "Shop › Goods", None, text) for n, text in enumerate(texts, 1)]


async def compare_to_oven(_: str, texts: Sequence[str]) -> Any:
    return np.array([0.9 if "touch" in text else 0.3 for text in texts], np.float32)


async def test_each_sentence_is_compared_under_its_title() -> None:
    seen: list[str] = []

    async def compare(question: str, texts: Sequence[str]) -> Any:
        assert question == "May I touch it?"
        seen.extend(texts)
        return await compare_to_oven(question, texts)

    found = await compare_sentences("May I touch it?", make_passages(TEXTS), compare)
    assert seen[:2] == ["Bakery › Goods\nBread is baked daily.", "Bakery › Goods\nIt costs two euros."]
    assert {n: [round(float(one), 1) for one in of] for n, of in found.items()} == {
        1: [0.3, 0.3],
        2: [0.3, 0.9],
        3: [0.3],
    }


async def test_passage_with_the_most_similar_sentence_comes_first() -> None:
    passages = make_passages(TEXTS)
    ordered, similar = order_passages(passages, await compare_sentences("May I touch it?", passages, compare_to_oven))
    assert [one.document for one in ordered] == ["2.md", "1.md", "3.md"]
    assert [one.n for one in ordered] == [1, 2, 3]
    assert float(similar[1].max()) == pytest.approx(0.9)


@given(st.lists(st.sampled_from(["", " \n", *TEXTS]), max_size=8), st.integers(0, 2**32 - 1))
async def test_order_keeps_every_passage(texts: list[str], seed: int) -> None:
    async def compare(_: str, others: Sequence[str]) -> Any:
        return np.random.default_rng(seed).random(len(others), np.float32)

    passages = make_passages(texts)
    similarities = await compare_sentences("?", passages, compare)
    ordered, renumbered = order_passages(passages, similarities)
    assert sorted(one.document for one in ordered) == sorted(one.document for one in passages)
    assert [one.document for one in ordered[COMPARED:]] == [one.document for one in passages[COMPARED:]]
    assert [one.n for one in ordered] == list(range(1, len(texts) + 1))
    assert len(renumbered) == len(similarities)


@pytest.mark.parametrize(("small", "answerable", "first"), [(True, False, 2), (True, True, 1), (False, False, 1)])
async def test_only_an_unsure_order_that_matters_is_changed(
    room: type[Room], *, small: bool, answerable: bool, first: int
) -> None:
    hits = [room.hit(text, str(n), document=f"{n}.md", score=0.9) for n, text in enumerate(TEXTS, 1)]
    engine = room.engine(room.words("X."), status=EngineStatus(EngineState.READY, small_model=small))
    search = room.search(hits, answerable=answerable)
    answerer = Answerer(search, engine, room.new_checker, compare=compare_to_oven)
    events = [event async for event in answerer.answer(Question("May I touch it?"))]
    (sources,) = [event for event in events if isinstance(event, Sources)]
    assert sources.passages[0].document == f"{first}.md"


async def test_failed_embedder_leaves_the_order_and_the_extracts(room: type[Room]) -> None:
    async def fail(_: str, texts: Sequence[str]) -> Any:
        raise EmbedderError(f"{len(texts)} texts are too many.")

    engine = room.engine(status=EngineStatus(EngineState.ABSENT))
    answerer = Answerer(room.search([room.hit(room.leave)], answerable=False), engine, room.new_checker, compare=fail)
    events = [event async for event in answerer.answer(Question("How many days of annual leave do I get?"))]
    assert any("25 days" in event.markdown.replace("**", "") for event in events if isinstance(event, Text))
