"""Where passages stand in a prompt: where they stood before, and otherwise wherever their rank does not matter."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.answering.answer import Answerer
from bot.answering.events import Exchange, Question, Sources
from bot.answering.retrieval.passage_order import ConversationPassages, PlacedPassage, place_hits
from knowledge.interfaces import Hit, LiveWebRequest, SearchResult

_ids = st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), max_size=24, unique=True)


def _hit(id_: str, score: float = 0.9, document: str = "") -> Hit:
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    return Hit(id_, "docs", document or f"{id_}.md", "T", "", None, f"Text of {id_}.", score, 0.9, seen)


def _placed(
    hits: list[Hit], earlier: list[PlacedPassage], still: list[str], most: int = 8, *, leans: bool = False
) -> list[str]:
    return [one.hit.id for one in place_hits(hits, earlier, still, most, leans=leans)]


@given(_ids, _ids, _ids, st.integers(1, 8), st.booleans(), st.randoms())
def test_places(found: list[str], shown: list[str], still: list[str], most: int, leans: bool, rnd: Any) -> None:  # noqa: FBT001
    """What was shown and may be still leads, in its order; the best new ones follow, whatever their ranks."""
    hits, earlier = [_hit(id_) for id_ in found], [PlacedPassage(_hit(id_), "before") for id_ in shown]
    now = _placed(hits, earlier, still, most, leans=leans)
    kept = [id_ for id_ in shown if id_ in still]
    best = [id_ for id_ in found[:most] if id_ not in kept]
    again = bool(set(kept) & set(found[:most]))
    new = set(best[: 5 if not again else 2 if found[0] in kept else 3])
    if not kept or not (again or (leans and found)) or len(kept) + len(new) > 24:  # it begins anew
        kept, new = [], set(found[:most])
    assert now[: len(kept)] == kept
    assert len(now) == len(kept) + len(new)
    assert set(now[len(kept) :]) == new
    best_hits = hits[:most]
    rnd.shuffle(best_hits)
    assert _placed(best_hits, [], [], most) == _placed(hits[:most], [], [], most)


def test_a_passage_that_holds_a_new_hit_is_not_shown_twice() -> None:
    wide = replace(_hit("a"), context="Text of a and b.", chunks=("a", "b"))
    kept = PlacedPassage(wide, "before")
    assert _placed([_hit("b"), _hit("c")], [kept], ["a", "b"]) == ["a", "c"]
    assert _placed([_hit("c")], [kept], ["a", "b"]) == ["c"], "another subject"
    assert _placed([_hit("b")], [kept], ["a"]) == ["b"], "half of it is gone"
    overlapping = replace(_hit("c"), context="Text of b and c.", chunks=("b", "c"))
    (_, beside) = place_hits([_hit("b"), overlapping], [kept], ["a", "b"], 8, leans=False)
    assert (beside.hit.context, beside.chunks) == ("", ("c",)), "what stands beside it is shown already"


def test_a_follow_up_gets_no_more_than_brings_something() -> None:
    """What is far behind the best stays away; where nothing that was shown is found, there is more that is new."""
    kept = [PlacedPassage(_hit("a"), "before")]
    assert _placed([_hit("a", 1.0), _hit("b", 0.61), _hit("c", 0.59)], kept, ["a"]) == ["a", "b"]
    assert _placed([_hit("a", 1.0), _hit("c", 0.59)], kept, ["a"]) == ["a"], "what is shown answers it"
    assert _placed([_hit(id_) for id_ in "abcde"], kept, ["a"]) == ["a", "b", "c"], "it has the best already"
    assert _placed([_hit(id_) for id_ in "bacde"], kept, ["a"]) == ["a", "b", "c", "d"], "the best is new"
    seven = [_hit(id_, document="a.md") for id_ in "bcdefgh"]
    assert _placed(seven, kept, ["a"]) == list("abcdef"), "of a document that was shown"
    others = [_hit(id_) for id_ in "bcdefgh"]
    assert _placed(others, kept, ["a"], leans=True) == list("abcdef"), "of another, but about what was said"
    assert _placed(others, kept, ["a"]) == list("bcdefgh"), "a new subject"
    assert _placed([], kept, ["a"], leans=True) == [], "what is found nowhere is not answered by what was shown"


def test_a_conversation_is_remembered_and_a_question_alone_is_not() -> None:
    places = ConversationPassages()
    a, b = PlacedPassage(_hit("a"), "Earlier?"), PlacedPassage(_hit("b"))
    places.note("", "Why?", [a])
    places.note("c", "Why?", [a, b])
    assert (places.of(""), places.of("c"), places.of("d")) == ((), (a, replace(b, since="Why?")), ())
    for number in range(300):
        places.note(f"n{number}", "Why?", [b])
    assert places.of("c") == ()


async def test_a_follow_up_goes_on_where_the_prompt_before_it_ended(room: Any) -> None:
    """What was shown stays, though it is not found again; what may not be shown any more goes; a new subject is new."""
    ranks = [["b", "a", "c"], ["x", "c"], ["q", "r"], ["y", "a"], ["z"]]
    allowed = {"a", "b", "c", "x", "y"}

    async def search(
        query: str, *, limit: int, readers: Collection[str], live: LiveWebRequest | None = None
    ) -> SearchResult:
        assert (limit, readers, live) == (8, {"*"}, None)
        found = ranks.pop(0)
        return SearchResult(query, tuple(map(_hit, found)), 0.0, answerable="q" not in found)

    async def still(chunks: Collection[str], readers: Collection[str]) -> frozenset[str]:
        assert readers == {"*"}
        return frozenset(allowed) & frozenset(chunks)

    engine = room.engine(room.words("Text of a. [1]"))
    answerer = Answerer(search, engine, room.new_verifier, still=still)
    history: list[Exchange] = []
    looked_at: list[list[str]] = []
    for question in (
        "What is it?",
        "And what about that?",
        "And there?",
        "And this?",
        "How do I reset my password now?",
    ):
        asked = Question(question, tuple(history), conversation="c", id=str(len(history)))
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
