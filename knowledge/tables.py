"""Write the rows of Markdown tables as lines in which each value has its column's name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

ROW_MARKER = "+ "
"""Begins a line of a text that is one row of a spreadsheet or CSV file, as ``format_row`` writes it."""

_RULE = re.compile(r"[ \t]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+")
_LINE_OR_CODE = re.compile(
    r"^[ \t]*(`{3,}(?![^\n]*`)|~{3,})[^\n]*(?:\n(?![ \t]*\1[`~]*[ \t]*$)[^\n]*)*+(?:\n[^\n]*)?|^[^\n]*", re.MULTILINE
)
_CODE = re.compile(r"(?<!`)(`++)[^`]*\1(?!`)")
_CELL_END = re.compile(r"(?<!\\)\|")
_LAST_END = re.compile(r"(?<!\\)\|$")
_VALUE = re.compile(r"(?!(?:19|20)\d\d$)\W*+\d[\d.,:%/ -]*+\w{0,8}\W*+")
"""A cell that is no name: "120 euros", "€ 30", "08:00"; but a year may head a column."""
_MAX_NAME_CHARACTERS = 80
"""A first row with a longer cell is data or layout: it would be repeated in every row. It was not tuned."""


def is_table_row(line: str) -> bool:
    """Return whether a line can be a row of a Markdown table."""
    return line.lstrip().startswith("|")


def is_table_rule(line: str) -> bool:
    """Return whether a line is the one under a table's head."""
    return is_table_row(line) and _RULE.fullmatch(line) is not None


def split_row(row: str, columns: int = 0) -> list[str]:
    r"""Return the cells of a row, with ``\|`` as "|".

    As on GitHub, a pipe in code ends a cell, too. If that makes more cells than the table has columns, it ends none.
    """
    inner = _LAST_END.sub("", row.strip().removeprefix("|"))
    cells = _CELL_END.split(inner)
    if 0 < columns < len(cells):
        cells = _CELL_END.split(_CODE.sub(lambda code: _CELL_END.sub(r"\|", code[0]), inner))
    return [cell.replace(r"\|", "|").strip() for cell in cells]


def format_row(names: Sequence[str], cells: Sequence[str]) -> str:
    """Return a row as "Name: Ada; Born: 1815". Empty cells are left out, and a cell without a name stands alone."""
    pairs = zip_longest(names[: len(cells)], cells, fillvalue="")
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def describe_tables(text: str) -> str:
    """Return a text with list items in place of its tables: a row each, as ``format_row`` writes it."""
    if "|" not in text:
        return text
    lines = [line[0] for line in _LINE_OR_CODE.finditer(text)]
    described: list[str] = []
    for line, row in zip(lines, read_rows(lines), strict=True):
        if row is None:
            described.append(line)
        elif row:
            described.append(f"{line[: len(line) - len(line.lstrip())]}- {row}")
    return "\n".join(described)


def read_rows(lines: Sequence[str]) -> Iterator[str | None]:
    """Yield for each line its row, "" for a table's head and rule, and None outside tables with a usable head.

    A code block is one line. An empty row repeats the names of the columns: an empty form has no other text.
    """
    names: list[str] | None = None
    for line, second, third in zip_longest(lines, lines[1:], lines[2:], fillvalue=""):
        if not is_table_row(line):
            names = None
            yield None
        elif names is None:
            names = _read_names(line) if is_table_rule(second) and is_table_row(third) else []
            yield "" if names else None
        elif not names:
            yield None
        elif is_table_rule(line):
            yield ""
        else:
            yield format_row(names, split_row(line, len(names))) or format_row((), names)


def _read_names(head: str) -> list[str]:
    """Return the names of a table's columns; none if its first row is no head but data or layout."""
    names = split_row(head)
    filled = [name for name in names if name]
    is_head = any(map(str.isalpha, "".join(names))) and len(set(filled)) == len(filled)
    has_data = any(len(name) > _MAX_NAME_CHARACTERS or _VALUE.fullmatch(name) for name in filled)
    return names if is_head and not has_data else []
