"""Rows of Markdown tables as lines: each value has its column's name, and nothing else of a text changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.parsing.formats.tables import format_markdown_table
from knowledge.tables import describe_tables, read_rows, split_row

CELLS = st.text(st.sampled_from(r"ab1|\`*:;[]() "), max_size=12).map(lambda cell: " ".join(cell.split()))
NAMES = st.lists(st.sampled_from(["Port", "Interface", "a|b", "`x|y`", "端口", ""]), min_size=1, max_size=4)


def test_row_has_the_name_of_each_column() -> None:
    table = "What listens:\n| what | address |\n| :--- | ---: |\n| metrics | `PORT`, all interfaces |\n\nAfter."
    assert describe_tables(table) == "What listens:\n- what: metrics; address: `PORT`, all interfaces\n\nAfter."
    nested = "- First:\n  | Key | Value |\n  |---|---|\n  | a | 1 |"
    assert describe_tables(nested) == "- First:\n  - Key: a; Value: 1"


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (r"| a\|b | c |", "- Key: a|b; Value: c"),
        (r"| `a\|b` | `c` |", "- Key: `a|b`; Value: `c`"),
        ("| `a|b` | c |", "- Key: `a|b`; Value: c"),
        ("| [page](https://a.example/?q=1) | |", "- Key: [page](https://a.example/?q=1)"),
        ("| | c |", "- Value: c"),
        ("| a |", "- Key: a"),
        ("| a | b | c |", "- Key: a; Value: b; c"),
        ("|a|b", "- Key: a; Value: b"),
        ("| | |", "- Key; Value"),
    ],
)
def test_cells_of_any_kind(row: str, line: str) -> None:
    assert describe_tables(f"| Key | Value |\n|---|---|\n{row}") == line


@pytest.mark.parametrize(
    "text",
    [
        "| | |\n| --- | --- |\n| a | b |",
        f"| {'A long paragraph of a page that is laid out as a table. ' * 3} | |\n| --- | --- |\n| a | b |",
        "| 1 | 2 |\n| --- | --- |\n| 3 | 4 |",
        "| a | b |\n| c | d |",
        "| a | b |\n| --- | --- |",
        "```\n| a | b |\n| --- | --- |\n| c | d |\n```\n| e |",
        "~~~\n| a | b |\n| --- | --- |\n| c | d |",
        "a | b\nx || y\n\n|",
    ],
)
def test_text_without_a_table_with_a_head_stays(text: str) -> None:
    assert describe_tables(text) == text


def test_table_without_the_first_name_and_two_tables() -> None:
    text = "| | Free |\n|---|---|\n| Storage | 1 GB |\n\n| A |\n|---|\n| 1 |"
    assert describe_tables(text) == "- Storage; Free: 1 GB\n\n- A: 1"


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=5))
def test_rows_of_our_parsers_have_all_their_cells(rows: list[list[str]]) -> None:
    table = format_markdown_table([["One", "Two", "Three"], *rows])
    described = [row for row in read_rows(table.split("\n")) if row]
    expected = ["; ".join(f"{n}: {c}" for n, c in zip(("One", "Two", "Three"), row, strict=True) if c) for row in rows]
    assert described == [line or "One; Two; Three" for line in expected]


@given(NAMES, st.lists(CELLS, min_size=1, max_size=4))
def test_cells_of_our_parsers_are_read_back(names: list[str], cells: list[str]) -> None:
    row = format_markdown_table([cells]).split("\n")[0]
    assert split_row(row, len(names) if len(names) > len(cells) else 0) == cells


@given(st.text(st.sampled_from("ab|: \n`~\\"), max_size=200), st.sampled_from(["", "| Key |\n|---|\n"]))
def test_rows_of_any_text_keep_their_letters(text: str, head: str) -> None:
    assert set(text) & set("ab") <= set(describe_tables(head + text))
    if not head:
        assert describe_tables(text) == text


def test_long_lines_are_read_in_linear_time() -> None:
    for text in ("`" * 50_000, "| a |\n| - |\n| " + "`a" * 25_000, "|\n" * 25_000, "| a |\n|" + "-|" * 25_000 + "x"):
        describe_tables(text + "|")


def test_the_table_of_our_own_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
    assert "- what: `POST /slack/events` (HTTP only); address: `PORT`, all interfaces;" in describe_tables(page)


@pytest.mark.parametrize(
    "head", ["| Hotel | 120 euros |", "| Opening | 08:00 |", "| Fee | € 30 |", "| Name | Name |", "| 1 | 2 |"]
)
def test_first_row_of_data_is_no_head(head: str) -> None:
    text = f"{head}\n| --- | --- |\n| Flight | 300 euros |"
    assert describe_tables(text) == text


@pytest.mark.parametrize("name", ["2025", "Q1", "IPv4", "HTTP/2", "Top 10"])
def test_name_of_a_column_may_have_a_digit(name: str) -> None:
    assert describe_tables(f"| Year | {name} |\n| --- | --- |\n| Sales | 30 |") == f"- Year: Sales; {name}: 30"
