"""Split text into blocks, and long blocks into pieces. Pure, and linear in the text's length."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain, pairwise

from knowledge.tables import is_table_row, is_table_rule

CountTokens = Callable[[str], int]
Unit = tuple[str, int]
"""Text that stays together, and its tokens."""


class BlockKind(Enum):
    """How a block may be split."""

    PROSE = auto()
    CODE = auto()
    TABLE = auto()


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, code block or table, whole or a piece of it."""

    kind: BlockKind
    text: str = field(repr=False)
    tokens: int


_LONG_CHARACTERS = 16_384
"""A longer text is split before its tokens are counted. It exceeds any chunk, and counting would take memory in
proportion."""
_WINDOW_CHARACTERS = 256
_MIN_RUN = 0.5
"""A run of units may end between this share and all of the target."""
_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")

# Each pattern ends a unit and belongs to it, so nothing between units is lost.
_LINE_END = re.compile(r"\n+")
_SENTENCE_END = re.compile(r"""(?<![.!?…])[.!?…]++["'”’)\]]*+\s+|[。！？；…]+[”’」』）】]*\s*""")
_CLAUSE_END = re.compile(r"[,;:，、：；]+\s*")
_WORD_END = re.compile(r"\s+")
_UNIT_ENDS = (_LINE_END, _SENTENCE_END, _CLAUSE_END, _WORD_END)


def split_blocks(text: str, limit: int, target: int, count_tokens: CountTokens) -> Iterator[Block]:
    """Yield a section's text in blocks: whole up to ``limit`` tokens, else in pieces of at most ``target``.

    Code and tables stay whole if they fit. If not, each piece of code repeats the fence, and each piece of a table the
    header row. Prose is split at lines, then sentences, clauses, words, and at last anywhere.
    """
    for kind, block in _find_raw_blocks(text):
        for piece in _split_block(kind, block, limit, target, count_tokens):
            if piece.text:
                yield piece


def iterate_lines(text: str) -> Iterator[str]:
    r"""Yield the items of ``text.split("\n")`` without the list, which needs several times the text's memory."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _find_raw_blocks(text: str) -> Iterator[tuple[BlockKind, str]]:
    lines_of_block: list[str] = []
    fence = ""
    for line in iterate_lines(text):
        mark = _FENCE.match(line)
        if fence:
            lines_of_block.append(line)
            if mark and mark.group(1).startswith(fence) and not line.strip(" `~"):
                yield BlockKind.CODE, "\n".join(lines_of_block)
                lines_of_block, fence = [], ""
        elif mark or not line.strip():
            if lines_of_block:
                yield BlockKind.PROSE, "\n".join(lines_of_block)
            lines_of_block, fence = ([line], mark.group(1)) if mark else ([], "")
        else:
            lines_of_block.append(line)
    if lines_of_block:
        yield BlockKind.CODE if fence else BlockKind.PROSE, "\n".join(lines_of_block)


def _split_at_tables(text: str) -> Iterator[tuple[BlockKind, str]]:
    """Yield the tables among lines of prose, with or without an empty line around them, and what is between them."""
    kind = BlockKind.PROSE
    start = place = 0
    for line, following in pairwise(chain(iterate_lines(text), ("",))):
        begins = kind is BlockKind.PROSE and is_table_row(line) and is_table_rule(following)
        if begins or (kind is BlockKind.TABLE and not is_table_row(line)):
            if place > start:
                yield kind, text[start : place - 1]
            start, kind = place, BlockKind.TABLE if begins else BlockKind.PROSE
        place += len(line) + 1
    yield kind, text[start:]


def _split_block(kind: BlockKind, text: str, limit: int, target: int, count_tokens: CountTokens) -> Iterator[Block]:
    tokens = count_tokens(text) if len(text) <= _LONG_CHARACTERS else limit + 1
    if tokens <= limit:
        yield Block(kind, text, tokens)
        return
    if kind is BlockKind.PROSE:
        first, *others = _split_at_tables(text)
        if others:
            for part in (first, *others):
                yield from _split_block(*part, limit, target, count_tokens)
            return
        kind = first[0]
    head, body, tail = _find_frame(kind, text)
    frame_tokens = count_tokens(f"{head}\n{tail}")
    if 2 * frame_tokens > target:
        head, body, tail, frame_tokens = "", text, "", 0
    for piece, piece_tokens in split_text(body, target - frame_tokens, count_tokens):
        framed = "\n".join(part for part in (head, piece, tail) if part)
        yield Block(kind, framed, piece_tokens + frame_tokens)


def _find_frame(kind: BlockKind, text: str) -> tuple[str, str, str]:
    """Return the text that every piece of a block repeats before and after, and the part between."""
    lines = text.split("\n")
    if kind is BlockKind.TABLE:
        return "\n".join(lines[:2]), "\n".join(lines[2:]), ""
    if kind is BlockKind.CODE:
        mark = _FENCE.match(lines[0])
        closing = mark.group(1) if mark else ""
        closed = len(lines) > 1 and lines[-1].strip() == closing
        return lines[0], "\n".join(lines[1:-1] if closed else lines[1:]), closing
    return "", text, ""


def split_text(text: str, limit: int, count_tokens: CountTokens) -> Iterator[tuple[str, int]]:
    """Yield pieces of at most ``limit`` tokens with their token counts. Only blanks are lost."""
    for run in group_units(_split_units(text, 0, limit, count_tokens), limit):
        # Blanks at the start of a line of code have a meaning.
        yield "".join(unit for unit, _ in run).strip("\n").rstrip(), sum(tokens for _, tokens in run)


def group_units(units: Iterable[Unit], target: int) -> Iterator[list[Unit]]:
    """Yield the units in runs (``_find_break``). Only the units near a possible break are in memory."""
    ahead: list[Unit] = []
    tokens = 0
    for unit in units:
        ahead.append(unit)
        tokens += unit[1]
        while tokens > target and len(ahead) > 1:
            end = _find_break(ahead, target)
            yield ahead[:end]
            ahead = ahead[end:]
            tokens = sum(tokens for _, tokens in ahead)
    while ahead:
        end = _find_break(ahead, target)
        yield ahead[:end]
        ahead = ahead[end:]


def _find_break(units: Sequence[Unit], target: int) -> int:
    """Return the end of the first run of units.

    If the rest fits, it is the end of all. Otherwise a run may have between half and all of the target; among these
    ends, the next unit with the smallest hash decides. The choice depends only on nearby text, so after a change the
    later breaks stay the same. A single unit may exceed the target.
    """
    total = 0
    places: list[int] = []
    for place in range(len(units)):
        total += units[place][1]
        if total > target:
            break
        if total >= target * _MIN_RUN and place + 1 < len(units):
            places.append(place + 1)
    else:
        return len(units)
    if not places:
        return max(place, 1)
    return min(places, key=lambda end: zlib.crc32(units[end][0].encode("utf-8", "surrogatepass")))


def _split_units(text: str, level: int, limit: int, count_tokens: CountTokens) -> Iterator[tuple[str, int]]:
    """Yield the parts of a text at the coarsest level at which each fits the limit."""
    for unit in _cut_at_level(text, level):
        if not unit.strip():
            yield unit, 0
            continue
        tokens = count_tokens(unit) if len(unit) <= _LONG_CHARACTERS else limit + 1
        if tokens <= limit or len(unit) == 1:
            yield unit, tokens
        else:
            yield from _split_units(unit, level + 1, limit, count_tokens)


def _cut_at_level(text: str, level: int) -> Iterator[str]:
    if level >= len(_UNIT_ENDS):
        # The windows shrink from level to level, until any characters fit.
        window = max(1, _WINDOW_CHARACTERS >> (level - len(_UNIT_ENDS)))
        yield from (text[start : start + window] for start in range(0, len(text), window))
        return
    start = 0
    for match in _UNIT_ENDS[level].finditer(text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]
