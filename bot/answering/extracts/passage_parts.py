"""Split a passage into sentences, list items, rows and code, and write some of them as Markdown. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bot.answering.markdown.citations import escape_displayed
from bot.answering.markdown.sentences import Piece, close_code, split_passage
from knowledge.lexical.terms import index_terms
from knowledge.tables import format_row, is_table_row, split_row

_ELLIPSIS = "…"
_OPENING = 40
"""Characters of the line that opens a code block."""
_STRIDE = 20
"""Characters between two places where a stretch may begin."""
_STEP = re.compile(r"\s*(?:\d{1,3}[.)、]|[（(]\d{1,3}[）)])")
_FIRST_CELL = re.compile(r"[^;]{1,80}; ")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*\)")
_HALF_LINK = re.compile(r"\]\([^()\s]*\)?")
_MARKS = re.compile(r"`+|\*+|~~|(?<![^\W_])_+|_+(?![^\W_])")
_GAP = re.compile(r"\s|(?<=[，。；！？、：])|(?=[，。；！？、：])|(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])")
_START = Piece("blank", "", "", "\n")


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence, list item, table row or code block of a passage."""

    piece: Piece
    place: int
    """Its index among the parts of its passage."""
    block: int
    """Which paragraph, list, table or code block of its passage it belongs to."""
    begins: bool
    """Whether it begins its line."""
    lead: str
    """The line above its block that ends in a colon."""
    is_step: bool
    """Whether it belongs to a numbered list."""
    words: frozenset[str]

    @property
    def text(self) -> str:
        """Return its text without the line's marker."""
        return self.piece.text

    def emphasise(self, span: tuple[int, int]) -> Part:
        """Return it with a span of its text in bold, at places where Markdown allows the marks."""
        start, end = span
        while start < end and not self.text[start].isalnum() and self.text[:start][-1:].isalnum():
            start += 1
        while start < end and not self.text[end - 1].isalnum() and self.text[end : end + 1].isalnum():
            end -= 1
        if start == end:
            return self
        text = f"{self.text[:start]}**{self.text[start:end]}**{self.text[end:]}"
        return replace(self, piece=replace(self.piece, text=text))


@lru_cache(maxsize=512)
def split_parts(text: str) -> tuple[Part, ...]:
    """Return the parts of a passage (``split_passage``) in its order; headings, rules and empty lines are none.

    Cached, since each sentence of an answer is compared with the same passages.
    """
    parts: list[Part] = []
    block, lead, is_step = 0, "", False
    pieces = split_passage(text)
    for before, piece in zip([_START, *pieces], pieces, strict=False):
        begins = before.ends_line or before.kind == "code"
        if begins and (piece.kind != before.kind or piece.kind == "prose"):
            block += 1
        if piece.kind not in {"blank", "code"} and begins:
            nested = is_step and piece.lead[:1] in {" ", "\t"}
            is_step = piece.kind == "item" and (nested or _STEP.match(piece.lead) is not None)
        introduces = piece.kind == "prose" and piece.text.rstrip("*_ ").endswith((":", "："))
        if piece.kind == "heading" or introduces or (piece.kind == "prose" and begins):
            lead = piece.text if introduces else ""
        is_empty = piece.kind == "table" and not piece.text.strip("|:- \t")
        if piece.text and piece.kind not in {"heading", "rule"} and not is_empty:
            shown_lead = "" if introduces else lead
            parts.append(Part(piece, len(parts), block, begins, shown_lead, is_step, index_words(piece.text)))
    return tuple(parts)


def index_words(text: str) -> frozenset[str]:
    """Return the terms of a text."""
    return frozenset(index_terms(text).split())


def strip_marks(text: str) -> str:
    """Return a text without Markdown's marks."""
    return _MARKS.sub("", _LINK.sub(r"\1", text))


# ── Putting together ─────────────────────────────────────────────────────────────────────────────────────────────────


def write_parts(parts: Sequence[Part], *, with_lead: bool = False) -> str:
    """Return parts of one passage, in its order, as Markdown that is whole."""
    out = [f"{_repair_marks(parts[0].lead)}\n\n"] if with_lead and parts[0].lead else []
    before: Part | None = None
    for part in parts:
        out += [_choose_glue(before, part), _write_part(part)]
        before = part
    return "".join(out)


def _choose_glue(before: Part | None, part: Part) -> str:
    """Return what separates a part from the one that is shown before it."""
    if before is None:
        return ""
    same_line = not part.begins and part.block == before.block
    if same_line and part.place == before.place + 1:
        return before.piece.tail
    if same_line and not part.piece.lead:
        return f" {_ELLIPSIS} "
    in_one = part.block == before.block or {part.piece.kind, before.piece.kind} <= {"item", "code"}
    return "\n" if in_one and part.piece.kind in {"item", "table"} else "\n\n"


def _write_part(part: Part) -> str:
    """Return a part alone, with its list marker; a row is a list item."""
    piece = part.piece
    if piece.kind == "code":
        return close_code(textwrap.dedent(piece.text).strip())
    if piece.kind == "table":
        return f"- {_repair_marks(_format_bare_row(piece.text))}"
    marker = piece.lead.lstrip() if piece.kind == "item" and ">" not in piece.lead else ""
    return marker + _repair_marks(piece.text)


def _format_bare_row(text: str) -> str:
    """Return a row as a line, also if its table has no usable head."""
    return format_row((), split_row(text)) if is_table_row(text) else text


def _repair_marks(text: str) -> str:
    """Return a sentence without halves of marks and links, which a cut between sentences leaves."""
    for mark in ("**", "~~", "`"):
        if text.count(mark) % 2:
            text = re.sub(rf"(?<=\w){re.escape(mark)}(?=\w)", " ", text).replace(mark, "")  # or it would join two words
    links = [match.span() for match in _LINK.finditer(text)]
    halves = [match for match in _HALF_LINK.finditer(text) if not any(a <= match.start() < b for a, b in links)]
    for half in reversed(halves):
        text = text[: half.start()] + text[half.end() :]
    return escape_displayed(text)


# ── Cutting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def cut_part(part: Part, limit: int, weigh: Callable[[str], float]) -> str:
    """Return the stretch of a part longer than the limit that weighs most: lines of code, else words.

    A row keeps its first cell, which says what the row is about.
    """
    if part.piece.kind == "code":
        opening, *lines, closing = close_code(textwrap.dedent(part.text).strip()).split("\n")
        opening = opening[:_OPENING]
        room = limit - len(opening) - len(closing) - 2
        stretches = [_fit_lines(lines[start:], room) for start in range(len(lines))]
        return "\n".join([opening, max(stretches, key=weigh, default=""), closing])
    text = _format_bare_row(part.text) if part.piece.kind == "table" else part.text
    text = escape_displayed(strip_marks(" ".join(_HALF_LINK.sub("", text).split())))
    first_cell = _FIRST_CELL.match(text) if part.piece.kind == "table" else None
    kept, text = (first_cell[0], text[first_cell.end() :]) if first_cell else ("", text)
    limit -= len(kept)
    gaps = [0, *(match.start() for match in _GAP.finditer(text)), len(text)]
    starts = [place for place, before in zip(gaps[1:], gaps, strict=False) if place // _STRIDE > before // _STRIDE]
    return kept + max((_fit_words(text, start, gaps, limit) for start in (0, *starts)), key=weigh)


def _fit_lines(lines: Sequence[str], room: int) -> str:
    """Return the first of these lines that there is room for."""
    text = "\n".join(lines)
    end = text.rfind("\n", 0, room + 1)
    return text if len(text) <= room else text[: end if end >= 0 else room]


def _fit_words(text: str, start: int, gaps: Sequence[int], limit: int) -> str:
    """Return whole words from a place on, as many as there is room for, with a sign where something is missing."""
    room = start + limit - 2 * len(_ELLIPSIS)
    end = max((gap for gap in gaps if start < gap <= room), default=room)
    before, after = (_ELLIPSIS if start else ""), (_ELLIPSIS if end < len(text) else "")
    return f"{before}{text[start:end].strip()}{after}"
