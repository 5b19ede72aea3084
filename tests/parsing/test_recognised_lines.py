"""Lines of text recognition get into reading order, and into parts with a box each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.parsing.formats.recognised_lines import RecognisedLine, arrange_lines, find_box, split_page

LINES = st.lists(
    st.builds(
        lambda text, left, top, width, height: RecognisedLine(text, (left, top, left + width, top + height)),
        st.text("abc 合同", min_size=1).filter(str.strip),
        st.floats(0, 900),
        st.floats(0, 1300),
        st.floats(1, 500),
        st.floats(1, 40),
    ),
    max_size=40,
)


def make_line(text: str, left: float, top: float, right: float, bottom: float) -> RecognisedLine:
    return RecognisedLine(text, (left, top, right, bottom))


def test_rows_are_joined_and_stand_from_top_to_bottom() -> None:
    found = [
        make_line("Total", 40, 101, 90, 121),
        make_line("EUR 1,234", 500, 99, 600, 119),
        make_line("Invoice 4711", 40, 40, 200, 60),
    ]
    assert [line.text for line in arrange_lines(found, 0.0)] == ["Invoice 4711", "Total EUR 1,234"]


def test_lines_of_a_crooked_page_keep_their_rows() -> None:
    slope = 0.035  # two degrees

    def lean(text: str, left: float, top: float, right: float) -> RecognisedLine:
        return make_line(text, left, top + slope * left, right, top + 20 + slope * right)

    found = [
        lean("first line of a paragraph", 40, 100, 1100),
        lean("second", 40, 127, 120),
        lean("on its right", 900, 127, 1000),
        lean("third line of the paragraph", 40, 154, 1100),
    ]
    texts = [line.text for line in arrange_lines(found, slope)]
    assert texts == ["first line of a paragraph", "second on its right", "third line of the paragraph"]


@given(LINES, st.floats(-0.1, 0.1))
def test_no_word_is_lost_and_boxes_hold_their_words(found: list[RecognisedLine], slope: float) -> None:
    arranged = arrange_lines(found, slope)
    assert sorted("".join(line.text for line in arranged).replace(" ", "")) == sorted(
        "".join(line.text for line in found).replace(" ", "")
    )
    assert not found or find_box(arranged) == find_box(found)


@given(LINES)
def test_parts_of_a_page_have_all_lines_in_order_and_none_is_empty(lines: list[RecognisedLine]) -> None:
    parts = list(split_page(lines))
    assert [line for part in parts for line in part] == lines
    assert all(parts)


def test_a_long_page_has_a_box_for_each_part() -> None:
    page = [make_line("word " * 20, 40, 30.0 * row, 900, 30.0 * row + 20) for row in range(40)]
    parts = list(split_page(page))
    assert len(parts) == 5
    assert [find_box(part)[1] for part in parts] == [30.0 * 8 * number for number in range(5)]
