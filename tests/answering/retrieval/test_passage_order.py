"""Tests of the order of passages in a prompt: earlier ones keep their places."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.answering.answer import Answerer
from bot.answering.asker import Asker
from bot.answering.events import Exchange, Question, Sources
from bot.answering.retrieval.passage_order import ConversationPassages, PlacedPassage, place_hits
from knowledge.interfaces import ANY_MEMBER, Hit, LiveWebRequest, SearchResult, Viewers
from tests.answering.conftest import Room

_ids = st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), max_size=24, unique=True)


def make_hit(id_: str, score: float = 0.9, document: str = "") -> Hit:
    as_of = datetime(2026, 1, 1, tzinfo=UTC)
    return Hit(id_, "docs", document or f"{id_}.md", "T", "", None, f"Text of {id_}.", score, 0.9, as_of)


def list_placed_ids(
    hits: list[Hit], earlier: list[PlacedPassage], still: list[str], most: int = 8, *, is_follow_up: bool = False
) -> list[str]:
    return [one.hit.id for one in place_hits(hits, earlier, still, most, is_follow_up=is_follow_up)]


@given(_ids, _ids, _ids, st.integers(1, 8), st.booleans(), st.randoms())
def test_earlier_passages_stay_first(
    found: list[str],
    shown: list[str],
    still: list[str],
    most: int,
    is_follow_up: bool,  # noqa: FBT001
    rnd: Any,
) -> None:
    """Earlier passages come first in their order, and the best new ones follow."""
    hits, earlier = [make_hit(id_) for id_ in found], [PlacedPassage(make_hit(id_), "before") for id_ in shown]
    now = list_placed_ids(hits, earlier, still, most, is_follow_up=is_follow_up)
    kept = [id_ for id_ in shown if id_ in still]
    best = [id_ for id_ in found[:most] if id_ not in kept]
    again = bool(set(kept) & set(found[:most]))
    new = set(best[: 5 if not again else 2 if found[0] in kept else 3])
    if not kept or not (again or (is_follow_up and found)) or len(kept) + len(new) > 24:  # it begins anew
        kept, new = [], set(found[:most])
    assert now[: len(kept)] == kept
    assert len(now) == len(kept) + len(new)
    assert set(now[len(kept) :]) == new
    best_hits = hits[:most]
    rnd.shuffle(best_hits)
    assert list_placed_ids(best_hits, [], [], most) == list_placed_ids(hits[:most], [], [], most)


def test_passage_that_contains_new_hit_appears_once() -> None:
    wide = replace(make_hit("a"), context="Text of a and b.", chunks=("a", "b"))
    kept = PlacedPassage(wide, "before")
    assert list_placed_ids([make_hit("b"), make_hit("c")], [kept], ["a", "b"]) == ["a", "c"]
    assert list_placed_ids([make_hit("c")], [kept], ["a", "b"]) == ["c"], "another subject"
    assert list_placed_ids([make_hit("b")], [kept], ["a"]) == ["b"], "half of it is gone"
    overlapping = replace(make_hit("c"), context="Text of b and c.", chunks=("b", "c"))
    (_, beside) = place_hits([make_hit("b"), overlapping], [kept], ["a", "b"], 8, is_follow_up=False)
    assert (beside.hit.context, beside.chunks) == ("", ("c",)), "what stands beside it is shown already"


def test_follow_up_adds_only_useful_passages() -> None:
    """Passages far behind the best are omitted; if no earlier passage is found, more new ones are shown."""
    kept = [PlacedPassage(make_hit("a"), "before")]
    assert list_placed_ids([make_hit("a", 1.0), make_hit("b", 0.61), make_hit("c", 0.59)], kept, ["a"]) == ["a", "b"]
    assert list_placed_ids([make_hit("a", 1.0), make_hit("c", 0.59)], kept, ["a"]) == ["a"], "what is shown answers it"
    assert list_placed_ids([make_hit(id_) for id_ in "abcde"], kept, ["a"]) == ["a", "b", "c"], (
        "it has the best already"
    )
    assert list_placed_ids([make_hit(id_) for id_ in "bacde"], kept, ["a"]) == ["a", "b", "c", "d"], "the best is new"
    seven = [make_hit(id_, document="a.md") for id_ in "bcdefgh"]
    assert list_placed_ids(seven, kept, ["a"]) == list("abcdef"), "of a document that was shown"
    others = [make_hit(id_) for id_ in "bcdefgh"]
    assert list_placed_ids(others, kept, ["a"], is_follow_up=True) == list("abcdef"), (
        "of another, but about what was said"
    )
    assert list_placed_ids(others, kept, ["a"]) == list("bcdefgh"), "a new subject"
    assert list_placed_ids([], kept, ["a"], is_follow_up=True) == [], (
        "what is found nowhere is not answered by what was shown"
    )


def test_only_conversations_are_remembered() -> None:
    places = ConversationPassages()
    a, b = PlacedPassage(make_hit("a"), "Earlier?"), PlacedPassage(make_hit("b"))
    places.note_passages("", "Why?", [a])
    places.note_passages("c", "Why?", [a, b])
    assert (places.list_passages(""), places.list_passages("c"), places.list_passages("d")) == (
        (),
        (a, replace(b, since="Why?")),
        (),
    )
    for number in range(300):
        places.note_passages(f"n{number}", "Why?", [b])
    assert places.list_passages("c") == ()


async def test_follow_up_prompt_extends_previous_prompt(room: type[Room]) -> None:
    """Earlier passages stay although the search does not find them again; forbidden ones go."""
    ranks = [["b", "a", "c"], ["x", "c"], ["q", "r"], ["y", "a"], ["z"]]
    allowed = {"a", "b", "c", "x", "y"}

    async def search(
        query: str, *, limit: int, viewers: Viewers, live: LiveWebRequest | None = None, **_: object
    ) -> SearchResult:
        assert (limit, viewers, live) == (8, ANY_MEMBER, None)
        found = ranks.pop(0)
        return SearchResult(query, tuple(map(make_hit, found)), 0.0, answerable="q" not in found)

    async def still(chunks: Collection[str], viewers: Viewers) -> frozenset[str]:
        assert viewers == ANY_MEMBER
        return frozenset(allowed) & frozenset(chunks)

    engine = room.engine(room.words("Text of a. [1]"))
    answerer = Answerer(search, engine, room.new_checker, still=still)
    history: list[Exchange] = []
    looked_at: list[list[str]] = []
    for question in (
        "What is it?",
        "And what about that?",
        "And there?",
        "And this?",
        "How do I reset my password now?",
    ):
        asked = Question(question, tuple(history), asker=Asker(conversation="c"), id=str(len(history)))
        said = [event async for event in answerer.answer(asked)]
        (sources,) = [event for event in said if isinstance(event, Sources)]
        assert [passage.n for passage in sources.passages] == list(range(1, len(sources.passages) + 1))
        looked_at.append([passage.document.removesuffix(".md") for passage in sources.passages])
        history.append(Exchange(question, "Text of a."))
        if len(history) == 2:
            allowed.remove("b")
    assert looked_at == [
        ["b", "a", "c"],
        ["x", "c", "a", "b"],
        ["q", "r", "a", "c", "x"],  # answers nothing: no engine reads it
        ["y", "a", "c", "x"],
        ["z"],
    ]
    first, second = [asked[0] for asked in engine.asked if "passage 1" in asked[0][0].content][:2]
    assert second[: len(first)] == first
    assert second[-1].content.startswith("<passage 4")
