"""Find the headings of a PDF: the entries of its outline, or the lines in larger type. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

_LARGER = 1.15
"""A line this much higher than the body may be a heading."""
_MAX_HEADING_CHARACTERS = 150
_MAX_HEADING_LINES = 3
_MAX_SHARE = 0.25
"""If more than this share of the text is large, size means nothing."""
_LEVELS = 5
_STEP_POINTS = 0.5

SizedLine = tuple[str, float]
"""A line and the height of its type in points, 0 if unknown."""


@dataclass(frozen=True, slots=True)
class PdfHeading:
    """A heading and its place."""

    level: int
    title: str
    page: int
    """The index of its page, from 0."""
    line: str
    """The line on that page at which it begins."""
    lines: int = 1


def find_headings_by_size(pages: Sequence[Sequence[SizedLine]]) -> list[PdfHeading]:
    """Return the lines in larger type as headings, the largest as level 1. None if sizes mean nothing."""
    body = _measure_body_height(pages)
    groups = [
        (number, height, lines)
        for number, page in enumerate(pages)
        for height, lines in _group_by_height(page)
        if body and height >= _LARGER * body and _could_be_heading(lines)
    ]
    large = sum(len(line) for _, _, lines in groups for line in lines)
    if large > _MAX_SHARE * sum(len(line) for page in pages for line, _ in page):
        return []
    ranks = {height: rank for rank, height in enumerate(sorted({height for _, height, _ in groups}, reverse=True))}
    return [
        PdfHeading(min(ranks[height], _LEVELS) + 1, " ".join(lines), number, lines[0], len(lines))
        for number, height, lines in groups
    ]


def _measure_body_height(pages: Sequence[Sequence[SizedLine]]) -> float:
    """Return the height of most characters."""
    weights: Counter[float] = Counter()
    for page in pages:
        for line, height in page:
            weights[_round_height(height)] += len(line)
    return weights.most_common(1)[0][0] if weights else 0.0


def _group_by_height(page: Sequence[SizedLine]) -> Iterator[tuple[float, list[str]]]:
    """Yield runs of consecutive lines with one height."""
    for height, run in groupby(page, key=lambda sized: _round_height(sized[1])):
        yield height, [line for line, _ in run]


def _round_height(height: float) -> float:
    return round(height / _STEP_POINTS) * _STEP_POINTS


def _could_be_heading(lines: Sequence[str]) -> bool:
    text = "".join(lines)
    wordy = any(character.isalpha() for character in text)
    return wordy and len(lines) <= _MAX_HEADING_LINES and len(text) <= _MAX_HEADING_CHARACTERS
