"""Write the rows of Markdown tables as lines in which each value has its column's name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

ROW_MARKER = "+ "
"""Begins a line of a text that is one row of a spreadsheet or CSV file, as ``format_row`` writes it."""

_RULE = re.compile(r"[ \t]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+")
_LINE_OR_CODE = re.compile(
    r"^[ \t]*(`{3,}(?![^\n]*`)|~{3,})[^\n]*(?:\n(?![ \t]*\1[`~]*[ \t]*$)[^\n]*)*+(?:\n[^\n]*)?|^[^\n]*", re.MULTILINE
)
_CODE = re.compile(r"(?<!`)(`++)[^`]*\1(?!`)")
_CELL_END = re.compile(r"(?<!\\)\|")
_LAST_END = re.compile(r"(?<!\\)\|$")
_YEAR = r"(?:19|20)\d\d(?:\s?[/–-]\s?\d{2,4})?"
_VALUE = re.compile(rf"(?!{_YEAR}\W*$)\W*+\d[\d.,:%/ -]*+\w{{0,8}}\W*+")
"""A cell that is no name: "120 euros", "€ 30", "08:00"; but a year, "2019 $" or "2018/19" may head a column."""
_STARTS_YEAR = re.compile(rf"(?<!\d){_YEAR}(?!\d)")
_MAX_NAME_CHARACTERS = 80
"""A first row with a longer cell is data or layout: it would be repeated in every row. The first cell, which says what
holds of all columns, may have twice as many. It was not tuned."""
_CAPTION_CHARACTERS = 200
"""A longer line is prose, which may say "in million ways". It was not tuned."""
_OPEN_BRACKET = re.compile(r"[(（\[][^()（）\[\]]*$")
_ROWS_BELOW = 6
"""Rows below a head in which the first figure of a column is looked for; rows that begin a group have none."""

_SCALES: Final = {
    "thousand": 1e3, "k": 1e3, "000": 1e3, "million": 1e6, "m": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9,
    "千": 1e3, "万": 1e4, "百万": 1e6, "亿": 1e8, "十亿": 1e9,
}  # fmt: skip
_WORD_SCALE = r"(thousand|million|billion)s?\b"
_CURRENCY = r"(?:[$€£¥]|\b(?:usd|eur|gbp|rmb|cny|chf|dkk|sek|nok|nzd|aud|cad|inr|rs\.?))"
_SCALE = re.compile(
    rf"\bin ?(?:[a-z.]{{0,8}}[$€£¥]? )?{_WORD_SCALE}|\((?:{_WORD_SCALE}|(000)s?)\)|{_CURRENCY} ?['’‘`]?{_WORD_SCALE}"
    rf"|{_CURRENCY} ?['’‘`]?(mn?|bn|k|000)s?(?![\w,.])|(?<![\d,.])['’‘`](000)s?\b"
    r"|(?<![\d.一二两三四五六七八九十百千万亿几数])(百万|十亿|千|万|亿)(?:人民币|美|港|欧)?元",
    re.IGNORECASE,
)
"""What the figures of a table are counted in: "(in thousands)", "€m", "$'000", 单位：万元; but not "5 million"."""


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


def find_scale(text: str) -> tuple[str, float] | None:
    """Return what a text says that figures are counted in, with its factor: "(in thousands)" is 1000; else None."""
    found = _SCALE.search(text)
    if found is None:
        return None
    return found[0], _SCALES[next(filter(None, found.groups())).lower()]


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
    for place, line in enumerate(lines):
        if not is_table_row(line):
            names = None
            yield None
        elif names is None:
            names = _read_head(lines, place)
            yield "" if names else None
        elif not names:
            yield None
        elif is_table_rule(line):
            yield ""
        else:
            yield format_row(names, split_row(line, len(names))) or format_row((), names)


def state_scales(text: str) -> str:
    """Return a text whose tables say themselves what their figures are counted in, where a line above them says it.

    A table right below another one counts in the same.
    """
    if "|" not in text or find_scale(text) is None:
        return text
    lines = [line[0] for line in _LINE_OR_CODE.finditer(text)]
    scale, in_table, is_below_table = "", False, False
    for place, line in enumerate(lines):
        if not is_table_row(line):
            in_table = False
            if line.strip():
                scale = _find_stated_scale(line) or ("" if is_below_table else scale)
                is_below_table = False
        elif not in_table:
            in_table = is_below_table = True
            names = _read_head(lines, place)
            own = next(filter(None, map(find_scale, names)), None)
            if own:
                scale = own[0]
            elif names and scale:
                lines[place] = line.replace("|", f"| ({scale.strip('()')})", 1)
    return "\n".join(lines)


def _find_stated_scale(line: str) -> str:
    """Return what a line says that figures are counted in, "" if nothing; long prose has to say it in brackets."""
    found = _SCALE.search(line)
    if found and (len(line) <= _CAPTION_CHARACTERS or _OPEN_BRACKET.search(line, 0, found.start())):
        return found[0]
    return ""


def _read_head(lines: Sequence[str], place: int) -> list[str]:
    """Return the names of the columns of a table that begins at a line; none if it has no usable head."""
    rule, first = [*lines[place + 1 : place + 3], "", ""][:2]
    if not (is_table_rule(rule) and is_table_row(first)):
        return []
    return _read_names(lines[place], lines[place + 2 : place + 2 + _ROWS_BELOW])


def _read_names(head: str, below: Sequence[str]) -> list[str]:
    """Return the names of a table's columns; none if its first row is no head but data or layout."""
    names = split_row(head)
    filled = [name for name in names if name]
    of_years = (not names[0] or find_scale(names[0]) is not None) and any(map(_STARTS_YEAR.match, filled))
    says_something = of_years or any(map(str.isalpha, "".join(names)))
    is_head = says_something and len(set(filled)) == len(filled)
    has_data = names[0] and any(
        _VALUE.fullmatch(name) and not find_scale(name) and not _heads_figures(n, names, below)
        for n, name in enumerate(names)
    )
    is_layout = any(len(name) > _MAX_NAME_CHARACTERS * (1 if n else 2) for n, name in enumerate(names))
    return names if is_head and not has_data and not is_layout else []


def _heads_figures(column: int, names: Sequence[str], below: Sequence[str]) -> bool:
    """Return whether a name has a word, and the first cell below it is a figure without one: "1-3 years" over "30"."""
    cells = (cells[column] for row in below if column < len(cells := split_row(row)))
    first = next(filter(None, cells), "")
    return any(map(str.isalpha, names[column])) and any(map(str.isdigit, first)) and not any(map(str.isalpha, first))
