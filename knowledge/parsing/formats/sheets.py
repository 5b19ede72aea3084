"""Parse XLSX: a section for each visible sheet, and each row with its columns' names. Sheets count as pages."""

from __future__ import annotations

import datetime as dt
import io
import warnings
from collections.abc import Iterator
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from knowledge.errors import DocumentTooLarge
from knowledge.interfaces import Document
from knowledge.parsing.formats.office_archive import reading_package
from knowledge.parsing.formats.tables import join_rows
from knowledge.parsing.outline import Outline, collapse_blanks, make_document, make_title_from_name

MAX_CELLS = 3_000_000
"""Cells of one workbook that are read, including empty ones between others."""


def parse_xlsx(data: bytes, document: str, *, max_cells: int = MAX_CELLS) -> Document:
    """Parse a workbook. The title is its properties', else the file's name. Formulas give their last values.

    Raises:
        DocumentTooLarge: it is too large when unpacked, or has more than ``max_cells`` cells.
        ParseError: it is broken.

    """
    with reading_package(data, document, InvalidFileException), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _parse_workbook(data, document, _CellAllowance(document, max_cells))


def _parse_workbook(data: bytes, document: str, cells: _CellAllowance) -> Document:
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    outline = Outline()
    try:
        for number, sheet in enumerate(book.worksheets, start=1):
            if sheet.sheet_state != "visible":
                continue
            outline.begin_page(number)
            outline.add_heading(1, sheet.title)
            outline.add_block(join_rows(_read_rows(sheet, cells), document))
        title = collapse_blanks(book.properties.title or "")
    finally:
        book.close()
    return make_document(title or make_title_from_name(document), outline.list_sections())


class _CellAllowance:
    """Counts the cells of all sheets."""

    def __init__(self, document: str, most: int) -> None:
        self._left = self._most = most
        self._document = document

    def take_cells(self, cells: int) -> None:
        self._left -= cells
        if self._left < 0:
            raise DocumentTooLarge(
                f"{self._document} has more than {self._most:,} cells. Split it, or export the important part as CSV."
            )


def _read_rows(sheet: Any, allowance: _CellAllowance) -> Iterator[list[str]]:  # noqa: ANN401 - openpyxl's stubs differ by mode
    # Files may claim a million rows: what is there counts, not what is claimed.
    sheet.reset_dimensions()
    for row in sheet.iter_rows(values_only=True):
        allowance.take_cells(len(row) + 1)
        yield [_format_cell(value) for value in row]


def _format_cell(value: object) -> str:
    """Return a value as the sheet shows it to a person."""
    match value:
        case None:
            return ""
        case float() if value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - beyond it, floats skip integers
            return str(int(value))
        case dt.datetime() if value.time() == dt.time():
            return value.date().isoformat()
        case dt.datetime():
            return value.isoformat(" ", "minutes")
        case _:
            return str(value)
