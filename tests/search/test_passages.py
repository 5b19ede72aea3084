"""Hits joined to readable passages: which neighbours, how much, and for whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.interfaces import Chunk, CurrentChunk, Hit
from knowledge.search.passages import JoinLimits, format_passage, grow_passage
from tests.search.search_bench import EVERYWHERE, SearchBench
from tests.viewers import make_members

LONG = "words and words. " * 60  # about 250 tokens


def chunk(id_: str, text: str = LONG, heading: str = "Setup", url: str | None = "u#setup") -> Chunk:
    return Chunk(id_, "docs", "d.md", "Guide", heading, text, url)


def joined(hit: int, line: list[Chunk], **room: int) -> list[str]:
    return [one.id for one in grow_passage(line[hit], line, JoinLimits(**room))]


def test_a_split_section_is_joined_up_to_the_limit() -> None:
    line = [chunk(id_) for id_ in "abcde"]
    assert joined(2, line) == ["c", "d"]
    assert joined(2, line, most=800) == ["b", "c", "d"]
    assert joined(4, line) == ["d", "e"]
    assert joined(2, line, most=100) == ["c"]


def test_a_complete_section_is_not_joined() -> None:
    assert joined(1, [chunk("a", heading="Before"), chunk("b"), chunk("c", heading="After")]) == ["b"]
    assert joined(1, [chunk("a", url="u#x"), chunk("b"), chunk("c", url="u#y")]) == ["b"]


def test_a_short_hit_is_joined_with_related_sections() -> None:
    short = "The port is 9180."
    line = [chunk("a", short, "Setup"), chunk("b", short, "Setup › Port"), chunk("c", short, "Setup › Host")]
    assert joined(1, line) == ["a", "b", "c"]
    assert joined(0, [chunk("a", short, "Setup"), chunk("b", short, "Usage › Port")]) == ["a"]
    assert joined(0, [chunk("a", short, "Setup"), chunk("b", LONG * 2, "Setup › Port")]) == ["a"]
    assert joined(0, [chunk("a", short, ""), chunk("b", LONG, "Setup")]) == ["a"]


def test_a_joined_text_reads_continuously() -> None:
    table = ["| a | b |", "| --- | --- |"]
    first = chunk("a", "\n".join(["Options:", "", *table, "| 1 | 2 |"]))
    second = chunk("b", "\n".join([*table, "| 3 | 4 |", "", "The end."]))
    assert format_passage(first, [first, second]) == "\n".join(
        ["Options:", "", *table, "| 1 | 2 |", "| 3 | 4 |", "", "The end."]
    )
    other = chunk("c", "| x | y |\n| --- | --- |\n| 5 | 6 |")
    assert format_passage(first, [first, other]).endswith("| 1 | 2 |\n\n| x | y |\n| --- | --- |\n| 5 | 6 |")
    port = chunk("d", "It is 9180.", "Setup › Port")
    assert format_passage(port, [chunk("a", "Read this."), port]) == "Setup\nRead this.\n\nPort\nIt is 9180."


lines = st.lists(
    st.builds(
        chunk,
        st.uuids().map(str),
        st.integers(1, 600).map("word ".__mul__),
        st.sampled_from(["", "A", "A › B", "A › C", "D"]),
        st.just("u"),
    ),
    min_size=1,
    max_size=7,
    unique_by=lambda one: one.id,
)


@given(lines, st.integers(0, 6))
def test_a_passage_is_an_unbroken_stretch_around_the_hit_and_bounded(line: list[Chunk], place: int) -> None:
    hit = line[place % len(line)]
    parts = grow_passage(hit, line, JoinLimits())
    start = line.index(parts[0])
    assert line[start : start + len(parts)] == parts
    assert hit in parts
    assert len(parts) == 1 or sum(len(one.text) // 4 for one in parts) <= JoinLimits().most
    assert all(one.text in format_passage(hit, parts) for one in parts)


# ── Over a store and a manifest ──────────────────────────────────────────────────────────────────────────────────────

LIST = {"one": "- office step one\n", "two": "- office step two\n", "three": "- then step three is called zebra\n"}


async def searched(
    bench: SearchBench, query: str, *, limit: int = 8, readers: Collection[str] = ("*",)
) -> tuple[Hit, ...]:
    scope = replace(EVERYWHERE, viewers=make_members(*readers))
    return (await bench.search().search(query, scope=scope, limit=limit, join=True)).hits


async def test_adjacent_hits_are_joined_and_others_fill_their_places(bench: SearchBench) -> None:
    await bench.add(LIST, document="list.md")
    await bench.add({"other": "The office has a garden."})
    hits = await searched(bench, "office step zebra", limit=2)
    assert [hit.document for hit in hits] == ["list.md", "other.md"]
    assert hits[0].context == "\n\n".join(text for text in LIST.values())
    assert hits[0].chunks == ("one", "two", "three")
    assert hits[0].text in LIST.values()
    assert (hits[1].context, hits[1].chunks) == ("", ("other",))


async def test_without_joining_each_hit_is_separate(bench: SearchBench) -> None:
    await bench.add(LIST, document="list.md")
    hits = (await bench.search().search("office step zebra", scope=EVERYWHERE)).hits
    assert {hit.id for hit in hits} == set(LIST)
    assert all(hit.context == "" and hit.chunks == (hit.id,) for hit in hits)


@pytest.mark.parametrize(
    "changed",
    [{"readers": frozenset({"U1"})}, {"row": 4711}, {"place": 9}, None],
    ids=["other readers", "another document", "not beside it", "gone"],
)
async def test_neighbours_that_are_no_longer_listed_are_not_joined(
    bench: SearchBench, changed: Mapping[str, object] | None
) -> None:
    """Between finding a neighbour and reading it, a sync may have come."""
    await bench.add(LIST, document="list.md")
    requests: list[Collection[str]] = []
    real = bench.current

    async def current(ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        if requests:
            if changed is None:
                bench.manifest.pop("two", None)
            else:
                bench.manifest["two"] = replace(bench.manifest["two"], **changed)  # type: ignore[arg-type]
        requests.append(ids)
        return await real(ids)

    bench.current = current  # type: ignore[method-assign]
    hits = await searched(bench, "step three is called zebra", limit=1)
    assert [(hit.id, hit.context) for hit in hits] == [("three", "")]


async def test_a_hit_that_is_restricted_while_joining_is_not_shown(bench: SearchBench) -> None:
    """After a sync the hit is the same, its neighbours are new, and both have fewer readers."""
    await bench.add(LIST, document="list.md")
    await bench.add({"open": "The zebra step is open to all."})
    requests: list[Collection[str]] = []
    real = bench.current

    async def current(ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        if requests:
            for id_ in LIST:
                bench.manifest[id_] = replace(bench.manifest[id_], readers=frozenset({"U1"}))
        requests.append(ids)
        return await real(ids)

    bench.current = current  # type: ignore[method-assign]
    assert [hit.id for hit in await searched(bench, "step three is called zebra", limit=1)] == ["open"]


async def test_a_hit_that_vanishes_while_joining_is_searched_again(bench: SearchBench) -> None:
    await bench.add(LIST, document="list.md")
    search = bench.search()
    real = bench.neighbours

    async def neighbours(ids: Collection[str], reach: int) -> object:
        near = await real(ids, reach)
        bench.manifest.clear()
        return near

    search._neighbours = neighbours  # type: ignore[assignment]
    assert (await search.search("zebra", scope=EVERYWHERE, limit=1, join=True)).hits == ()
