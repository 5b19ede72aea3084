"""Tests of answers from files and messages that come with a question."""

from __future__ import annotations

from knowledge.interfaces import MESSAGE_KIND, Hit, MaterialOrigin
from tests.answering.conftest import Ask, Room


def make_material_hit(room: type[Room], id_: str, text: str, place: int, page: int | None, kind: str = "pdf") -> Hit:
    hit: Hit = room.hit(
        text, id_, source="", document="F1", title="trip.pdf", url="https://slack.example/p1",
        material=MaterialOrigin(kind, page, place),
    )  # fmt: skip
    return hit


async def test_answer_cites_the_page_of_a_file(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(room.words("The lighthouse opens at seven. [2]"))
    hits = [
        make_material_hit(room, "two", "The lighthouse opens at seven.", 1, 2),
        make_material_hit(room, "one", "The lighthouse is old.", 0, 1),
        room.hit(room.leave),
    ]
    answer = await ask(engine, question="When does the lighthouse open?", search=room.search(hits))
    (cited,) = answer.finished[0].cited
    assert (cited.title, cited.url, cited.chunks, cited.as_of) == (
        "trip.pdf, page 2",
        "https://slack.example/p1",
        (),
        None,
    )
    prompt = engine.asked[0][0][-1].content
    frames = ("<passage 1: attached file, trip.pdf, page 1>", "trip.pdf, page 2", ": Leave>")
    first, second, third = map(prompt.index, frames)
    assert first < second < third, "the file comes in reading order, before documents"


async def test_links_in_a_file_are_not_shown(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(room.words("Pay at https://evil.example/pay today. [1]"))
    text = "Pay at https://evil.example/pay today."
    answer = await ask(
        engine,
        question="Where do I pay?",
        search=room.search([make_material_hit(room, "m", text, 0, None, MESSAGE_KIND)]),
    )
    assert "Pay at" in answer.text
    assert "evil.example" not in answer.text
