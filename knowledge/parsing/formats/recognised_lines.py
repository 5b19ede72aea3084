"""Put the lines that text recognition found into reading order, and into parts that have a box each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

_SAME_ROW = 0.5
"""Boxes of one row overlap by more than this share of the lower one's height."""
_PART_COLUMNS = 900
"""A page is split into parts of about this length, so that a passage has the box of its own text."""


@dataclass(frozen=True, slots=True)
class RecognisedLine:
    """A line and its box: left, top, right and bottom in units of the page, from its upper left corner."""

    text: str
    box: tuple[float, float, float, float]


def arrange_lines(found: Sequence[RecognisedLine], slope: float) -> list[RecognisedLine]:
    """Return the lines from top to bottom; what stands in one row is joined.

    ``slope`` is how far the lines of a crooked page sink for each step to the right.
    """

    def straighten(line: RecognisedLine) -> tuple[float, float]:
        left, top, right, bottom = line.box
        sunk = slope * (left + right) / 2
        lean = abs(slope) * (right - left) / 2  # the box of a crooked line is higher than the line
        return top - sunk + lean, bottom - sunk - lean

    rows: list[tuple[float, float, list[RecognisedLine]]] = []
    for line in sorted(found, key=lambda one: sum(straighten(one))):
        top, bottom = straighten(line)
        if rows:
            upper, lower, row = rows[-1]
            if min(bottom, lower) - max(top, upper) > _SAME_ROW * min(bottom - top, lower - upper):
                row.append(line)
                continue
        rows.append((top, bottom, [line]))
    ordered = [sorted(row, key=lambda one: one.box[0]) for _, _, row in rows]
    return [RecognisedLine(" ".join(line.text.strip() for line in row), find_box(row)) for row in ordered]


def find_box(lines: Sequence[RecognisedLine]) -> tuple[float, float, float, float]:
    """Return the smallest box that has all the lines."""
    lefts, tops, rights, bottoms = zip(*(line.box for line in lines), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def split_page(lines: Sequence[RecognisedLine]) -> Iterator[list[RecognisedLine]]:
    """Yield the lines in parts of about equal length; a page with little text is one part."""
    all_columns = sum(count_columns(line.text) for line in lines)
    limit = all_columns / max(1, -(-all_columns // _PART_COLUMNS))
    part: list[RecognisedLine] = []
    columns = 0
    for line in lines:
        part.append(line)
        columns += count_columns(line.text)
        if columns >= limit:
            yield part
            part, columns = [], 0
    if part:
        yield part


def count_columns(text: str) -> int:
    """Return the columns that a text occupies. A wide character occupies two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(each) in "WF" else 1 for each in text)
