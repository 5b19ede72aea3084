from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.citations import mark, numbers, strip
from bot.answering.events import Passage

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
        ("Use `items[1]` and items[0] here.", (), "Use `items[1]` and items[0] here."),
        ("A [link](https://a.example) and [x] stay.", (), "A [link](https://a.example) and [x] stay."),
    ],
)
def test_markers_are_read_in_every_form(text: str, found: tuple[int, ...], bare: str) -> None:
    assert numbers(text) == found
    assert strip(text) == bare


@given(st.text(alphabet="ab[]【】1234, .(`)\n中", max_size=60))
def test_a_stripped_text_cites_nothing(text: str) -> None:
    assert all(n == 0 for n in numbers(strip(strip(text))) if strip(strip(text)) == strip(text))


def test_markers_go_behind_the_sentence() -> None:
    assert mark("So it is.", (1, 2)) == "So it is. [1][2]"
    assert mark("是这样。", (1,)) == "是这样。[1]"
    assert mark("| a | b |", (3,), table_row=True) == "| a | b [3] |"
    assert mark("Nothing.", ()) == "Nothing."
