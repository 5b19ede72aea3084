from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Passage
from bot.answering.markdown.citations import (
    Numbering,
    append_suffix,
    find_cited_numbers,
    strip_displayed,
    strip_markers,
)
from tests.growth import takes_linear_time

PASSAGES = [
    Passage(1, "docs", "a.md", "A", "", "https://docs.example/a", "See https://portal.example:8443/x for more."),
    Passage(2, "docs", "b.md", "B", "", None, "And [here](http://wiki.example/page)."),
]


@pytest.mark.parametrize(
    ("text", "found", "bare"),
    [
        ("It is so. [1]", (1,), "It is so."),
        ("It is so[1][2].", (1, 2), "It is so."),
        ("是这样。【1】", (1,), "是这样。"),
        ("是这样［2］。", (2,), "是这样。"),
        ("So [1, 3] it is [2–4].", (1, 3, 2, 4), "So it is."),
        ("So. [Source 2] [^3]", (2, 3), "So."),
        ("如此。[来源1]", (1,), "如此。"),
        ("So. [1](https://evil.example/x)", (1,), "So."),
        ("So.【1†source】", (1,), "So."),
        ("So. [Passage 2: Guide › Part]", (2,), "So."),
        ("At [10:30] it is so.", (), "At [10:30] it is so."),
        ("Use `items[1]` and items[0] here.", (), "Use `items[1]` and items[0] here."),
        ("A [link](https://a.example) and [x] stay.", (), "A [link](https://a.example) and [x] stay."),
    ],
)
def test_all_citation_forms_are_read(text: str, found: tuple[int, ...], bare: str) -> None:
    assert find_cited_numbers(text) == found
    assert strip_markers(text) == bare


@given(st.text(alphabet="ab[]【】1234, .(`)\n中", max_size=60))
def test_stripped_text_has_no_citations(text: str) -> None:
    assert all(
        n == 0
        for n in find_cited_numbers(strip_markers(strip_markers(text)))
        if strip_markers(strip_markers(text)) == strip_markers(text)
    )


def test_citations_move_to_end_of_sentence() -> None:
    assert append_suffix("So it is.", "[1][2]") == "So it is. [1][2]"
    assert append_suffix("是这样。", "[1]") == "是这样。[1]"
    assert append_suffix("是这样。", "⚠") == "是这样。 ⚠"
    assert append_suffix("| a | b |", "[3]", "table") == "| a | b [3] |"
    assert append_suffix("| a | b |", "⚠", "table") == "| a | b ⚠ |"


def test_displayed_numbers_follow_order_of_appearance() -> None:
    numbering = Numbering()
    third, first = (Passage(n, "docs", "a.md", "A", "", None, "") for n in (3, 1))
    assert [one.n for one in numbering.display_passages(third)] == [1]
    assert [one.n for one in numbering.display_passages(first, third)] == [1, 2]
    assert [(one.n, one.document) for one in numbering.passages] == [(1, "a.md"), (2, "a.md")]
    numbering.clear()
    assert [one.n for one in numbering.display_passages(first)] == [1]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("So it is. [1][2] And so. [3]", "So it is. And so."),
        ("So it is. [\\[1\\]](https://docs.example/a) And so. ⚠", "So it is. And so."),
        ("So. <https://docs.example/a|[1]>", "So."),
        ("So. [1] (as of 2026-11-02; [2], as of 2025-01-10, says otherwise) More.", "So. More."),
        ("是。[1]（截至 2026-11-02；[2] 截至 2025-01-10，其中的说法不同）", "是。"),
        ("See [1](https://docs.example/x).", "See [1](https://docs.example/x)."),
    ],
)
def test_strip_displayed_removes_numbers_of_earlier_answer(shown: str, said: str) -> None:
    assert strip_displayed(shown) == said


def test_many_backticks_take_linear_time() -> None:
    assert strip_markers("`" * 24_000) == "`" * 24_000
    assert strip_markers("``` `` ` " * 2700) == ("``` `` ` " * 2700).rstrip()
    assert takes_linear_time(lambda size: strip_markers("`" * size), 24_000)
    assert takes_linear_time(lambda size: strip_markers("``` `` ` " * size), 2700)


def test_index_in_code_is_not_a_citation() -> None:
    text = "Use `arr[1]`. [1]\n\n```\nx[2] = 1\n```\n[2]"
    assert strip_displayed(text) == "Use `arr[1]`.\n\n```\nx[2] = 1\n```"
