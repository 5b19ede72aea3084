"""Choosing the passages to show, as a pure function."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.interfaces import Candidate, Chunk
from knowledge.search.ranking.fusion import ScoredCandidate
from knowledge.search.ranking.pick import pick_passages

LONG = "Whoever enters the laboratory wears a coat, closed shoes and the glasses that hang beside the door. " * 2
OLD, NEW = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


def scored(
    id_: str, text: str, score: float = 0.5, *, title: str = "T", document: str | None = None
) -> ScoredCandidate:
    chunk = Chunk(id_, "docs", document or f"{id_}.md", title, "", text, None)
    return ScoredCandidate(Candidate(chunk, 1.0, 0.8), score)


def ids(ranked: list[ScoredCandidate], limit: int = 8, per_document: int = 5, **options: object) -> list[str]:
    return [one.candidate.chunk.id for one in pick_passages(ranked, limit, per_document, alike=0.02, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The office opens at nine.", "the  OFFICE opens\nat nine."),
        (f"{LONG} {LONG}", f"- {LONG}\n\n{LONG}"),
        (f"Last updated: 2026-01-01\n{LONG}\n{LONG}", f"{LONG}\n{LONG}\nPrinted on Monday"),
        ("**" * 150 + LONG, LONG),
        (f"{'长' * 250} {LONG}", f"{'长' * 250}\n{LONG}"),
        ("# Hours\n\n- **Nine** to five", "Hours\n\n* Nine to `five`"),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |", "| a | b |\n|:---|---:|\n| 1 | 2 |"),
        ("Nine to five.\n\nLast updated: 2026-01-02 by Jo", "Nine to five.\n\nLast updated: 2025-05-06 by Al"),
        ("九点到五点。\n最后更新：2026年1月", "九点到五点。\n最后更新：2025年2月"),
        ("Nine to five.\nPage 3 of 9", "Nine to five.\nPage 4 of 11"),
        ("Ｎｉｎｅ to five.", "Nine to five."),
    ],
)
def test_copies_are_shown_once(one: str, other: str) -> None:
    assert ids([scored("a", one), scored("b", other)]) == ["a"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("25 days of leave.", "20 days of leave."), ("Ask Ada for leave.", "Ask Bob for leave."),
        ("a > b holds", "a < b holds"), ("The limit is -5.", "The limit is 5."), ("Use C++ here.", "Use C here."),
        ("It is allowed.", "It is not allowed."), ("Call max_fails.", "Call maxfails."),
        ("Since 3.1 it is on.", "Since 3.2 it is on."), ("It costs 1.50 on 1.2.2026.", "It costs 2.50 on 1.3.2026."),
        ("The host is 10.0.0.1.", "The host is 10.0.0.2."),
    ],
)  # fmt: skip
def test_passages_that_differ_in_words_or_numbers_stay(one: str, other: str) -> None:
    assert ids([scored("a", one), scored("b", other)], made={"a": OLD, "b": NEW}) == ["a", "b"]


def test_a_date_line_counts_if_the_question_asks_for_it() -> None:
    ranked = [scored("a", "Nine.\nLast updated: May"), scored("b", "Nine.\nLast updated: June")]
    assert ids(ranked, words="when does the office open") == ["a"]
    assert ids(ranked, words="when was this page last updated") == ["a", "b"]


VERSIONS = [scored("a", "Install v3.1.0 with make.", 0.9), scored("b", "Install v3.2.0 with make.", 0.8)]


def test_the_newest_version_takes_the_place_of_the_best() -> None:
    other = scored("c", "Something else.", 0.7)
    picked = pick_passages([*VERSIONS, other], 8, 5, alike=0.02, words="how do I install it", made={"a": OLD, "b": NEW})
    assert [(one.candidate.chunk.id, one.score) for one in picked] == [("b", 0.9), ("c", 0.7)]
    assert ids([*VERSIONS, other], words="how do I install it", made={"a": NEW, "b": OLD}) == ["a", "c"]


@pytest.mark.parametrize("words", ["how do I install 3.1", "which version is installed", "如何升级", "old install"])
def test_a_question_about_versions_finds_all_of_them(words: str) -> None:
    assert ids(VERSIONS, words=words, made={"a": OLD, "b": NEW}) == ["a", "b"]


@pytest.mark.parametrize("made", [{}, {"a": OLD}, {"a": OLD, "b": None}, {"a": OLD, "b": OLD}])
def test_versions_without_usable_dates_stay(made: dict[str, datetime | None]) -> None:
    assert ids(VERSIONS, words="how do I install it", made=made) == ["a", "b"]


def test_the_same_page_of_another_product_is_not_a_version() -> None:
    ranked = [
        scored("a", "Install v3.1.0 with make.", title="Gateway v3.1"),
        scored("b", "Install v3.2.0 with make.", title="Dashboard v3.2"),
        scored("c", "Install v3.3.0 with make.", title="Gateway v3.3"),
    ]
    assert ids(ranked, words="install the gateway", made={"a": OLD, "b": NEW, "c": NEW}) == ["c", "b"]


def test_the_newest_copy_counts_even_if_it_ranks_low() -> None:
    ranked = [
        scored("a", "Nine to five."),
        *(scored(f"o{n}", f"Other {n}") for n in range(9)),
        scored("z", "nine TO five."),
    ]
    assert ids(ranked, limit=2, made={"a": OLD, "z": NEW}) == ["z", "o0"]
    assert ids(ranked, limit=2, made={"a": NEW, "z": OLD}) == ["a", "o0"]


def test_a_copy_of_the_newest_copy_is_a_copy_too() -> None:
    ranked = [scored("a", "v1.3.0 is out"), scored("b", "v1.2.0 is out"), scored("c", "v1.2.0 is out")]
    assert ids(ranked, words="nine", made={"a": OLD, "b": NEW, "c": None}) == ["b"]


def test_a_copy_under_another_title_ignores_newer_versions_of_that_title() -> None:
    ranked = [
        scored("a", "Widget v1.2.0 needs two cores", title="Copy of notes"),
        scored("b", "Widget v1.2.0 needs two cores", title="Install guide"),
        scored("c", "Widget v2.0.0 needs two cores", title="Install guide"),
    ]
    assert ids(ranked, words="nine", made={"a": OLD, "b": OLD, "c": NEW}) == ["a", "c"]


def test_a_copy_under_another_title_does_not_replace_the_better_one() -> None:
    """The title may be the reason for its rank: an office of that town."""
    ranked = [scored("a", "Nine to five.", title="London"), scored("b", "Nine to five.", title="Berlin")]
    assert ids(ranked, made={"a": OLD, "b": NEW}) == ["a"]


def test_one_document_gets_only_free_places() -> None:
    ranked = [scored(f"m{n}", f"part {n}", document="manual.md") for n in range(6)]
    assert ids([*ranked, scored("o", "other")], limit=4, per_document=2) == ["m0", "m1", "m2", "o"]
    assert ids([*ranked, scored("o", "other"), scored("p", "more")], limit=4, per_document=2) == ["m0", "m1", "o", "p"]


texts = st.sampled_from(
    ["Nine.", "nine.", "Ten.", "v1.2.0 is out", "v1.3.0 is out", "Nine.\nLast updated: May", "**Ten.**"]
)
rankings = st.lists(texts, max_size=25).map(
    lambda some: [scored(f"r{n:02}", t, 1 - n / 50) for n, t in enumerate(some)]
)
days = st.lists(st.none() | st.integers(0, 9).map(lambda n: OLD + timedelta(days=n)), min_size=25, max_size=25)


@given(rankings, days, st.integers(1, 10), st.integers(1, 5))
def test_picks_are_bounded_complete_and_unique(
    ranked: list[ScoredCandidate], made: list[datetime | None], limit: int, per_document: int
) -> None:
    dates = {f"r{n:02}": one for n, one in enumerate(made)}
    picked = pick_passages(ranked, limit, per_document, alike=0.02, words="nine", made=dates)
    said = [one.candidate.chunk.text.casefold().strip("*").split("\n")[0] for one in picked]
    assert len(said) == len(set(said)) <= limit
    everything = {one.candidate.chunk.text.casefold().strip("*").split("\n")[0] for one in ranked}
    versions = {text for text in everything if text.startswith("v")}
    assert len(picked) >= min(limit, len(everything) - max(0, len(versions) - 1))
    assert [one.score for one in picked] == sorted((one.score for one in picked), reverse=True)
