"""Rows of Markdown tables as lines: each value has its column's name, and nothing else of a text changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.parsing.formats.tables import format_markdown_table
from knowledge.tables import describe_tables, find_scale, read_rows, split_row, state_scales
from tests.growth import takes_linear_time

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


@pytest.mark.parametrize(
    ("before", "repeated", "after"),
    [("", "`", "|"), ("| a |\n| - |\n| ", "`a", "|"), ("", "|\n", "|"), ("| a |\n|", "-|", "x|")],
)
def test_long_lines_are_read_in_linear_time(before: str, repeated: str, after: str) -> None:
    assert takes_linear_time(lambda size: describe_tables(before + repeated * size + after), 50_000)


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


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        (
            [["", "", "Years ended May 31,", ""], ["", "2019", "2018", "2017"], ["", "", "(in millions)", ""]],
            "- Years ended May 31, (in millions): Sales; 2019: $1,496.5; 2018: 3; 2017: 4",
        ),
        ([["", "2019", "2018", "2017"], ["", "€m", "€m", "€m"]], "- Sales; 2019 €m: $1,496.5; 2018 €m: 3; 2017 €m: 4"),
        (
            [["", "", "Fiscal", ""], ["(In thousands)", "2019", "2018", "2017"]],
            "- (In thousands) Fiscal: Sales; 2019: $1,496.5; 2018: 3; 2017: 4",
        ),
        (
            [["Income", "", "", ""], ["", "2019", "2018", "Change"], ["(in thousands)", "", "", ""]],
            "- Income (in thousands): Sales; 2019: $1,496.5; 2018: 3; Change: 4",
        ),
        (
            [["", "First", "Second", "Third"], ["", "Quarter", "Quarter", "Quarter"]],
            "- Sales; First Quarter: $1,496.5; Second Quarter: 3; Third Quarter: 4",
        ),
        ([["", "2019", "2018", ""]], "- Sales; 2019: $1,496.5; 2018: 3; 4"),
    ],
)
def test_head_of_several_rows_names_each_figure(head: list[list[str]], rows: str) -> None:
    assert describe_tables(format_markdown_table([*head, ["Sales", "$1,496.5", "3", "4"]])) == rows


def test_name_over_several_columns_belongs_to_each() -> None:
    head = [["", "Domestic", "", "Abroad", ""], ["", "2019", "2018", "2019", "2018"]]
    table = format_markdown_table([*head, ["Rate", "4.0%", "3.8%", "1.9%", "2.8%"]])
    assert describe_tables(table) == (
        "- Rate; Domestic 2019: 4.0%; Domestic 2018: 3.8%; Abroad 2019: 1.9%; Abroad 2018: 2.8%"
    )
    notes = [["", "", "2019", "2018"], ["", "Note", "£m", "£m"], ["Cash", "3", "5.0", "6.0"]]
    assert describe_tables(format_markdown_table(notes)) == "- Cash; Note: 3; 2019 £m: 5.0; 2018 £m: 6.0"


@pytest.mark.parametrize(
    "rows",
    [
        [["Name", "Role", "Age"], ["Ada", "engineer", "36"], ["Bo", "nurse", "40"]],
        [["Group", "Option", "Default"], ["", "limit", "none"], ["", "pool", "5"]],
        [["", "Free", "Paid"], ["Storage", "none", "1 GB"], ["Seats", "1", "5"]],
        [["Plan", "Basic", "Pro"], ["Support", "e-mail", "telephone"], ["Backups", "no", "yes"]],
        [["", "Basic", "Pro"], ["Price ($)", "free", "on request"], ["Seats", "1", "5"]],
        [["Group A", "", ""], ["Ada", "engineer", "x"], ["Bo", "nurse", "5"]],
        [["Year", "2019", "2018"], ["Auditor", "A & B", "C"], ["Sales", "5", "6"]],
    ],
)
def test_row_of_words_below_a_whole_head_stays_a_row(rows: list[list[str]]) -> None:
    assert format_markdown_table(rows).count("\n") == len(rows)


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("| | 2019 | 2018 |", "- Sales; 2019: 3; 2018: 4"),
        ("| Terms | Total | 1-3 years |", "- Terms: Sales; Total: 3; 1-3 years: 4"),
        ("| ($000) | 2019 $ | 2018 $ |", "- ($000): Sales; 2019 $: 3; 2018 $: 4"),
        ("| € million | 2017/2018 | 2018/19 |", "- € million: Sales; 2017/2018: 3; 2018/19: 4"),
    ],
)
def test_years_and_terms_head_columns_of_figures(head: str, row: str) -> None:
    assert describe_tables(f"{head}\n| --- | --- | --- |\n| Sales | 3 | 4 |") == row


def test_unit_above_a_table_stands_in_its_rows() -> None:
    table = "| | 2019 |\n| --- | --- |\n| Sales | 3 |"
    text = f"Figures in thousands.\n\nSales were as follows:\n\n{table}\n\nAnd:\n\n{table}"
    assert describe_tables(state_scales(text)).count("- (in thousands): Sales; 2019: 3") == 1
    assert "- Sales; 2019: 3" in describe_tables(state_scales(text))  # another table may count in something else
    own = f"Figures in thousands:\n{table}".replace("2019", "2019 €m")
    assert state_scales(own) == own
    prose = f"Customers told us in million ways that they like it. {'They do. ' * 30}\n\n{table}"
    assert state_scales(prose) == prose
    named = f"单位：万元\n\n{table}".replace("| |", "| 项目 |")
    assert describe_tables(state_scales(named)).endswith("- (万元) 项目: Sales; 2019: 3")


@given(st.text(st.sampled_from("ab|-5: \n`"), max_size=200))
def test_text_below_a_unit_keeps_its_letters(text: str) -> None:
    stated = state_scales(f"In thousands:\n{text}")
    assert stated.replace("| (In thousands)", "|") == f"In thousands:\n{text}"


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("(in thousands)", 1e3), ("(Dollars in Millions)", 1e6), ("2019 €m", 1e6), ("US$’000", 1e3), ("USDm", 1e6),
        ("RMB’Million", 1e6), ("$ billion", 1e9), ("(000s)", 1e3), ("单位：万元", 1e4), ("2019年（百万元）", 1e6),
        ("5 million people", None), ("$5 million", None), ("in 2019", None), ("$1,000", None), ("罚款5万元", None),
        ("五十万元以上", None), ("in the mill", None),
    ],
)  # fmt: skip
def test_what_figures_are_counted_in(text: str, factor: float | None) -> None:
    found = find_scale(text)
    assert (found[1] if found else None) == factor


@given(st.lists(st.lists(st.sampled_from(["", "2019", "€m", "5", "Sales", "(in thousands)"]), min_size=3, max_size=3)))
def test_joined_heads_keep_all_figures(rows: list[list[str]]) -> None:
    table = format_markdown_table(rows)
    assert table.count("5") == sum(row.count("5") for row in rows)


def test_columns_that_get_other_years_begin_a_table() -> None:
    years = [["", "", "Fiscal 2019"], ["(in thousands)", "First", "Second"]]
    before = [["", "", "Fiscal 2018"], ["", "First", "Second"]]
    table = format_markdown_table([*years, ["Sales", "5", "6"], ["Costs", "3", "4"], *before, ["Sales", "1", "2"]])
    assert describe_tables(state_scales(table)).replace("\n\n", "\n").split("\n") == [
        "- (in thousands) Fiscal 2019: Sales; First: 5; Second: 6",
        "- (in thousands) Fiscal 2019: Costs; First: 3; Second: 4",
        "- (in thousands) Fiscal 2018: Sales; First: 1; Second: 2",
    ]
    notes = [["Bond", "Rate", "Amount"], ["A", "5%", "30"], ["", "due 2025", ""], ["B", "6%", "40"]]
    assert "\n\n" not in format_markdown_table(notes)
