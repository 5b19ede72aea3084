"""Write tables as rows that make sense alone: each value with its column's name. Parse CSV and TSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice, takewhile

from knowledge.errors import DocumentTooLarge, ParseError
from knowledge.interfaces import Document
from knowledge.parsing.decoding import decode_text
from knowledge.parsing.outline import Outline, collapse_blanks, make_title_from_name
from knowledge.parsing.wire import MAX_TEXT_BYTES
from knowledge.tables import ROW_MARKER, find_scale, format_row

_SAMPLE_CHARACTERS = 16_384
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"[\s\d.,:/%+\-$€£¥]+")
_YEAR = re.compile(r"(?<![\d,./])(?:19|20)\d\d(?![\d,./])|(?<!\d)2 0 [012] \d(?!\d)")
_WORDS = re.compile(r"[^\W\d_]{2}")
_UNIT = re.compile(r"thousand|million|billion|['’‘`]000|[$€£¥%]|\b(?:usd|eur|gbp|rmb)m?\b|[千万亿]?元", re.IGNORECASE)
"""What a cell of a head says of the figures below it."""
_NO_FIGURES = (",", "'000", "’000", "‘000")
_MOST_HEAD_ROWS = 6
"""Rows among which a second head of a table ends."""
_SHEET_HEAD_ROWS = 12
"""Rows of a sheet among which its head is looked for."""
_MAX_HEADER_CHARACTERS = 120
_MAX_CELL_CHARACTERS = 10_000_000

Row = Sequence[str]


def parse_table(data: bytes, document: str, media_type: str | None = None) -> Document:
    """Parse comma- or tab-separated values of any encoding. The title is the file's name.

    Raises:
        DocumentTooLarge: as ``join_rows``.
        ParseError: a cell never ends.

    """
    text = decode_text(data, media_type=media_type)
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    outline = Outline()
    try:
        outline.add_block(join_rows(csv.reader(io.StringIO(text), delimiter=_find_delimiter(text)), document))
    except csv.Error as error:
        raise ParseError(
            f"{document} is not a readable table ({error}). Check its quotation marks, then sync again."
        ) from error
    return Document(make_title_from_name(document), outline.list_sections())


def join_rows(rows: Iterable[Row], document: str) -> str:
    """Return the lines of ``describe_rows`` as one text.

    Raises:
        DocumentTooLarge: it would be over the limit, because each row repeats the columns' names.

    """
    lines: list[str] = []
    characters = 0
    for line in describe_rows(rows):
        characters += len(line)
        if characters > MAX_TEXT_BYTES:
            raise DocumentTooLarge(f"{document} is too large when unpacked: each row repeats long names. Split it.")
        lines.append(line)
    return "\n".join(lines)


def describe_rows(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line for each row: ``+ Name: Ada; Born: 1815``.

    Rows of one cell before the first longer row are captions, which have no marker; what they count figures in stands
    in each row. Without a header row, the values have no names.
    """
    filled = (cells for row in rows if any(cells := [collapse_blanks(cell) for cell in row]))
    captions: list[str] = []
    for first in filled:
        if sum(map(bool, first)) > 1:
            break
        captions.append(format_row((), first))
    else:
        yield from (f"{ROW_MARKER}{caption}" for caption in captions)
        return
    yield from captions
    beginning = [first, *islice(filled, _SHEET_HEAD_ROWS)]
    width = max(map(len, beginning))
    header, *below = join_head([[*cells, *[""] * (width - len(cells))] for cells in beginning])
    described: Row | None = header if _is_header(header, below) else None
    if described is None:
        below = [header, *below]
    elif (scale := next(filter(None, map(find_scale, captions)), None)) and not any(map(find_scale, header)):
        described = [f"{header[0]} ({scale[0].strip('()')})".lstrip(), *header[1:]]
    has_rows = False
    for row in chain(below, filled):
        yield f"{ROW_MARKER}{format_row(described or (), row)}"
        has_rows = True
    if not has_rows:
        yield f"{ROW_MARKER}{format_row((), header)}"


def _is_header(cells: Row, below: Sequence[Row]) -> bool:
    """Return whether a row has the columns' names; a year is one if no year stands below it."""
    names = [cell for cell in cells if cell]
    years = {cell for cell in cells[1:] if _YEAR.fullmatch(cell)}
    if years and (_NUMBER.fullmatch(cells[0]) or any(_YEAR.fullmatch(cell) for row in below[:1] for cell in row)):
        return False
    plain = all(
        len(name) <= _MAX_HEADER_CHARACTERS and (name in years or not _NUMBER.fullmatch(name)) for name in names
    )
    return plain and len(set(names)) == len(names)


def format_markdown_table(rows: Sequence[Row]) -> str:
    """Return a Markdown table with the first row as header, or the first rows (``join_head``). Short rows are padded.

    Where columns of figures get other years further down, another table begins.
    """
    width = max((len(row) for row in rows), default=0)
    if not width:
        return ""
    padded = [[*map(collapse_blanks, row), *[""] * (width - len(row))] for row in rows]
    tables = []
    for part in _split_at_heads(padded):
        lines = [_format_markdown_row(row) for row in join_head(part)]
        tables.append("\n".join([lines[0], _format_markdown_row(["---"] * width), *lines[1:]]))
    return "\n\n".join(tables)


# ── Heads of several rows ─────────────────────────────────────────────────────────────────────────────────────────────


def _split_at_heads(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield the rows in parts, each with a head of its own."""
    figures = {column for row in rows for column, cell in enumerate(row) if column and _is_figure(cell)}
    start, has_figures = 0, False
    for n, row in enumerate(rows):
        if has_figures and _begins_head(rows[n : n + _MOST_HEAD_ROWS], figures):
            yield rows[start:n]
            start, has_figures = n, False
        has_figures = has_figures or any(map(_is_figure, row[1:]))
    yield rows[start:]


def _begins_head(rows: Sequence[Row], figures: AbstractSet[int]) -> bool:
    """Return whether a row, with those down to the next figure, names all columns of figures, one of them by a year."""
    if rows[0][0] or not any(map(_YEAR.search, rows[0])):
        return False
    head = list(takewhile(lambda row: not any(map(_is_figure, row[1:])), rows))
    return len(head) < len(rows) and all(any(row[column] for row in head) for column in figures)


def join_head(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a table with its head in one row, as in reports: "2019" below "Years ended", "€m" below that.

    What is said of all columns goes to the first one, and a name over several columns to each of them. Only a row above
    columns of figures belongs to the head, so tables of words do not change. All rows are of one length.
    """
    height = _count_head_rows(rows)
    if height < 2:  # noqa: PLR2004 - one row is the head
        return list(rows)
    head, columns = rows[:height], range(1, len(rows[0]))
    names: list[list[str]] = [[row[0] for row in head], *([] for _ in columns)]
    for row in head:
        others = [sum(bool(other[column]) for other in head if other is not row) for column in columns]
        covered = _find_covered(row[1:], others)
        if covered is None:
            names[0].append(next(filter(None, row[1:])))
            continue
        for column, name in enumerate(covered, 1):
            names[column].append(name)
    return [[" ".join(dict.fromkeys(filter(None, parts))) for parts in names], *rows[height:]]


def _count_head_rows(rows: Sequence[Row]) -> int:
    """Return how many rows make up the head."""
    first = rows[0]
    if len(rows) < 3 or len(first) < 2 or not any(first) or any(map(_is_figure, first)):  # noqa: PLR2004 - two of a head
        return 1
    last = next((n for n, row in enumerate(rows) if any(map(_is_figure, row[1:]))), 1)
    figures = [column for column in range(1, len(first)) if any(_is_figure(row[column]) for row in rows[last:])]
    height = 1
    while height < last and _extends_head(rows[:height], rows[height], figures):
        height += 1
    return height


def _extends_head(head: Sequence[Row], row: Row, figures: Sequence[int]) -> bool:
    """Return whether a row without figures names columns of figures that a head has not, or not fully, named."""
    cells = [cell for cell in row[1:] if cell]
    if not cells:
        return row[0].startswith("(") and find_scale(row[0]) is not None
    if all(_UNIT.search(cell) for cell in cells) and (not row[0] or all(map(find_scale, cells))):
        return True
    is_unnamed = any(not any(above[column] for above in head) for column in figures)
    if row[0]:
        names_figures = len(cells) == sum(bool(row[column]) for column in figures)
        is_below_caption = not any(cell for above in head for cell in above[1:])
        is_whole = all(row[column] or any(above[column] for above in head) for column in figures)
        begins = names_figures and is_unnamed and (is_below_caption or is_whole)
        return begins or find_scale(row[0]) is not None
    return is_unnamed or not any(above[0] for above in head)


def _find_covered(cells: Row, others: Sequence[int]) -> list[str] | None:
    """Return the names of a row of a head for each column, None if it has one name for all columns.

    ``others`` has the number of the other names of each column. A name over several columns stands in one of them, and
    each of these columns has a name of its own. Alone above the last column, it is that of this column.
    """
    filled = [place for place, cell in enumerate(cells) if cell]
    count, width = len(filled), len(cells)
    if count == 1 and width > 1 and all(others):
        return None if filled[0] < max(width - 1, 2) else list(cells)
    size = width // max(1, count)
    groups = [cells[start : start + size] for start in range(0, width, size)]
    if not count or width % count or size == 1 or any(sum(map(bool, group)) != 1 for group in groups):
        return list(cells)
    over = [next(filter(None, group)) for group in groups for _ in group]
    return [cell or (name if other else "") for cell, name, other in zip(cells, over, others, strict=True)]


def _is_figure(cell: str) -> bool:
    """Return whether a cell is a value: no year, no word, neither "31," nor "$'000"."""
    is_number = any(map(str.isdigit, cell)) and not cell.endswith(_NO_FIGURES)
    return is_number and not _YEAR.search(cell) and not _WORDS.search(cell)


def _format_markdown_row(cells: Row) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _find_delimiter(text: str) -> str:
    """Return the delimiter that occurs equally often in the first lines."""
    lines = [line for line in text[:_SAMPLE_CHARACTERS].split("\n")[:50] if line.strip()]
    counts = {mark: [line.count(mark) for line in lines] for mark in _DELIMITERS}
    return max(_DELIMITERS, key=lambda mark: _rate_delimiter(counts[mark]))


def _rate_delimiter(counts: Sequence[int]) -> tuple[int, int]:
    """Rate a delimiter: by the lines in which it occurs as often as in the first, then by its frequency."""
    if not counts or not counts[0]:
        return (0, sum(counts))
    return (sum(1 for count in counts if count == counts[0]), counts[0])
