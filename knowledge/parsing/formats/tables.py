"""Write tables as rows that make sense alone: each value with its column's name. Parse CSV and TSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

from knowledge.errors import DocumentTooLarge, ParseError
from knowledge.interfaces import Document
from knowledge.parsing.decoding import decode_text
from knowledge.parsing.outline import Outline, collapse_blanks, make_title_from_name
from knowledge.parsing.wire import MAX_TEXT_BYTES
from knowledge.tables import ROW_MARKER, format_row

_SAMPLE_CHARACTERS = 16_384
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"[\s\d.,:/%+\-$€£¥]+")
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

    Rows of one cell before the first longer row are captions, which have no marker. Without a header row, the values
    have no names.
    """
    header: Row | None = None
    captions: list[str] = []
    described = False
    for row in rows:
        cells = [collapse_blanks(cell) for cell in row]
        filled = sum(1 for cell in cells if cell)
        if not filled:
            continue
        if header is None:
            header = _find_header(cells, filled)
            if header is None:
                captions.append(format_row((), cells))
                continue
            yield from captions
            if header:
                continue
        yield f"{ROW_MARKER}{format_row(header, cells)}"
        described = True
    if header is None:
        yield from (f"{ROW_MARKER}{caption}" for caption in captions)
    elif header and not described:
        yield f"{ROW_MARKER}{format_row((), header)}"


def _find_header(cells: Row, filled: int) -> Row | None:
    """Return the columns' names, no names if the row is already data, or None for a caption."""
    if filled == 1:
        return None
    names = [cell for cell in cells if cell]
    plain = all(len(name) <= _MAX_HEADER_CHARACTERS and not _NUMBER.fullmatch(name) for name in names)
    return cells if plain and len(set(names)) == len(names) else []


def format_markdown_table(rows: Sequence[Row]) -> str:
    """Return a Markdown table with the first row as header. Short rows are padded."""
    width = max((len(row) for row in rows), default=0)
    if not width:
        return ""
    lines = [_format_markdown_row([*row, *[""] * (width - len(row))]) for row in rows]
    return "\n".join([lines[0], _format_markdown_row(["---"] * width), *lines[1:]])


def _format_markdown_row(cells: Row) -> str:
    return "| " + " | ".join(collapse_blanks(cell).replace("|", r"\|") for cell in cells) + " |"


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
