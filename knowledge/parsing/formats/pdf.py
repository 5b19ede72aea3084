"""Parse PDFs: the text page by page under the outline's headings, with broken lines joined again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from math import hypot
from typing import Final

from pypdfium2 import PdfDocument, PdfiumError, PdfTextPage
from pypdfium2.raw import (
    FPDF_ERR_PASSWORD,
    FS_MATRIX,
    FPDFPage_CountObjects,
    FPDFText_GetCharIndexFromTextIndex,
    FPDFText_GetFontSize,
    FPDFText_GetMatrix,
)

from knowledge.errors import DocumentEncrypted, DocumentTooLarge, ParseError
from knowledge.interfaces import Document, Section
from knowledge.parsing.formats.pdf_headings import PdfHeading, SizedLine, find_headings_by_size
from knowledge.parsing.formats.recognised_lines import RecognisedLine, count_columns, find_box, split_page
from knowledge.parsing.outline import Outline, collapse_blanks, make_document, make_title_from_name

MAX_PAGES = 10_000

_FULL_LINE = 0.75
"""Share of the page's usual line. A shorter line ends its paragraph."""
_USUAL = 0.9
_MIN_USUAL_WIDTH = 40
_JOINT = "\x02"
_HYPHENS = (_JOINT, "\ufffe", "\u00ad")
"""PDFium's character for a hyphen at a line break."""
_LIST_MARK = re.compile(
    r"\s*(?:[•◦▪‣●○■□–·\-*]|\(?\d{1,3}[.)、]|[（(][一二三四五六七八九十\d]+[)）]|[一二三四五六七八九十]+、)\s*"
)
_ENDS = tuple(".!?:;。！？：；…")
_EDGE_LINES = 2
"""Lines at a page's top and bottom that may be running headers and page numbers."""
_MIN_BODY_LINES = 6
"""On a page with fewer lines, one line at the top and one at the bottom."""
_MAX_PAGE_NUMBER_CHARACTERS = 24
_RUNNING_PAGES = 0.6
"""Share of the pages on which such a line must occur."""
_MIN_RUNNING_PAGES = 4
_RUN = 3
"""Consecutive pages on which a line with a page number must occur."""
_DIGITS = re.compile(r"\d+|^[ivxl]+$")
_END_DIGITS = re.compile(r"^\d+(?=\s)|(?<=\s)\d+$")
_NUMBERING = re.compile(r"^(?:[\dA-Z]{1,3}[.)]?(?:\d+(?:\.\d+)*\.?)?\s+|第.{1,4}[章节]\s*)(?=\S)")
_MAX_OUTLINE = 5_000
_MAX_TITLE_CHARACTERS = 120
_NO_TITLE = re.compile(
    r"untitled.*|microsoft \w+ -.*|\(anonymous\)|无标题|.*\\.*|.*\.(?:docx?|pdf|pptx?|xlsx?|indd|tex|wpd|qxd)",
    re.IGNORECASE,
)
_LEADERS = re.compile(r"(?:\s?\.){5,}")
_LINE_END = re.compile(r"\r\n|[\r\n]")
_BLANKS = re.compile(r"[ \t\xa0]+")
_BOX: Final = "page={page}&viewrect={:.0f},{:.0f},{:.0f},{:.0f}"
"""A place in a PDF, as links name it: the page, and left, top, width and height in points."""

RecognisePage = Callable[[PdfDocument, int], list[RecognisedLine] | None]
"""Returns the lines on the picture of a page; None if there is no time for it."""


def parse_pdf(data: bytes, document: str, recognise: RecognisePage | None = None) -> Document:
    """Parse a PDF. The title is its metadata's, else a short first line, else the file's name.

    ``recognise`` reads the pages that have only images of text; without it they stay unread.

    Raises:
        DocumentEncrypted: it needs a password.
        DocumentTooLarge: it has more than ``MAX_PAGES`` pages.
        ParseError: it is broken.

    """
    with _open_pdf(data, document) as pdf:
        if len(pdf) > MAX_PAGES:
            raise DocumentTooLarge(f"{document} has {len(pdf):,} pages; the limit is {MAX_PAGES:,}. Split it.")
        marks = _read_outline(pdf)
        sized = [_read_lines(pdf, index, document, with_heights=not marks) for index in range(len(pdf))]
        scans = [index for index, lines in enumerate(sized) if not lines and _has_objects(pdf, index)]
        recognised = {} if recognise is None else _recognise_pages(pdf, scans, recognise)
        for index, lines in recognised.items():
            sized[index] = [(line.text, 0.0) for line in lines]
        pages = _trim_pages([[line for line, _ in page] for page in sized])
        metadata_title = _decode_text(lambda: pdf.get_metadata_value("Title"))
    marks = marks or find_headings_by_size(_drop_running_lines(sized, pages))
    parsed = make_document(
        _choose_title(metadata_title, pages, marks) or make_title_from_name(document),
        _build_sections(pages, marks, recognised),
    )
    return replace(parsed, recognised_pages=len(recognised), unread_pages=len(scans) - len(recognised))


def _has_objects(pdf: PdfDocument, index: int) -> bool:
    """Return whether a page has anything on it."""
    page = pdf[index]
    count: int = FPDFPage_CountObjects(page)
    page.close()
    return count > 0


def _recognise_pages(
    pdf: PdfDocument, scans: Sequence[int], recognise: RecognisePage
) -> dict[int, list[RecognisedLine]]:
    """Return the lines of the pages by their indexes, as far as there is time."""
    recognised: dict[int, list[RecognisedLine]] = {}
    for index in scans:
        if (lines := recognise(pdf, index)) is None:
            break
        recognised[index] = lines
    return recognised


def _open_pdf(data: bytes, document: str) -> PdfDocument:
    try:
        return PdfDocument(data)
    except PdfiumError as error:
        if error.err_code == FPDF_ERR_PASSWORD:
            raise DocumentEncrypted(f"{document} needs a password. Save a copy without one, or exclude it.") from error
        raise ParseError(
            f"{document} is a broken PDF. Open it in a PDF reader and export it again, or exclude it."
        ) from error


def _read_lines(pdf: PdfDocument, index: int, document: str, *, with_heights: bool) -> list[SizedLine]:
    """Return a page's lines. A page that cannot be read is an error, so that it does not vanish unnoticed."""
    try:
        page = pdf[index]
        text_page = page.get_textpage()
        text: str = text_page.get_text_bounded()
        heights = _measure_heights(text_page) if with_heights else {}
    except PdfiumError as error:
        raise ParseError(
            f"Page {index + 1} of {document} cannot be read. Export the document again, or exclude it."
        ) from error
    text_page.close()
    page.close()
    return [(line, heights.get(line, 0.0)) for line in map(_clean_line, _LINE_END.split(text)) if line]


def _clean_line(line: str) -> str:
    return _BLANKS.sub(" ", _LEADERS.sub(" … ", line)).strip()


def _measure_heights(text_page: PdfTextPage) -> dict[str, float]:
    """Return the type size in points of each line's first character."""
    heights: dict[str, float] = {}
    offset = 0
    matrix = FS_MATRIX()
    for line in text_page.get_text_range().split("\r\n"):
        first = FPDFText_GetCharIndexFromTextIndex(text_page, offset + len(line) - len(line.lstrip()))
        if first >= 0 and FPDFText_GetMatrix(text_page, first, matrix):
            # Some programs set type of size 1 and enlarge it by the matrix.
            heights.setdefault(_clean_line(line), FPDFText_GetFontSize(text_page, first) * hypot(matrix.c, matrix.d))
        offset += len(line) + 2
    return heights


def _drop_running_lines(sized: Sequence[Sequence[SizedLine]], pages: Sequence[Sequence[str]]) -> list[list[SizedLine]]:
    """Return the lines without running headers, with their heights."""
    return [
        [(line, height) for line, height in page if line in lines]
        for page, lines in zip(sized, map(set, pages), strict=True)
    ]


def _trim_pages(pages: list[list[str]]) -> list[list[str]]:
    """Drop headers, footers and page numbers: lines at the edges that repeat on other pages, ignoring numbers."""
    if sum(1 for page in pages if page) < _MIN_RUNNING_PAGES:
        return pages
    places_by_key: dict[str, list[int]] = {}
    for number, page in enumerate(pages):
        for key in {_normalise_running_line(line) for line in _find_edge_lines(page)}:
            places_by_key.setdefault(key, []).append(number)
    running = {key for key, places in places_by_key.items() if _is_repeated(key, places, len(pages))}
    return [_trim_page(page, running) for page in pages]


def _is_repeated(key: str, places: Sequence[int], pages: int) -> bool:
    """Return whether a line repeats through the document, or, with a page number, through a chapter."""
    if len(places) >= _RUNNING_PAGES * pages:
        return True
    return "#" in key and any(
        later - earlier == _RUN - 1 for earlier, later in zip(places, places[_RUN - 1 :], strict=False)
    )


def _find_edge_lines(page: list[str]) -> list[str]:
    depth = _count_edge_lines(page)
    return page[:depth] + page[-depth:]


def _count_edge_lines(page: list[str]) -> int:
    return _EDGE_LINES if len(page) > _MIN_BODY_LINES else 1


def _normalise_running_line(line: str) -> str:
    """Return the common part of a running line. In a long one, only numbers at its ends may differ."""
    pattern = _DIGITS if len(line) <= _MAX_PAGE_NUMBER_CHARACTERS else _END_DIGITS
    return pattern.sub("#", line)


def _trim_page(page: list[str], running: set[str]) -> list[str]:
    depth = _count_edge_lines(page)
    last = len(page) - depth
    lines = [
        line for place, line in enumerate(page) if depth <= place < last or _normalise_running_line(line) not in running
    ]
    return lines or page


def _decode_text(ask: Callable[[], str]) -> str:
    """Return a text of the PDF, or "" if it is not valid Unicode (half a surrogate pair)."""
    try:
        return ask()
    except UnicodeDecodeError:
        return ""


def _read_outline(pdf: PdfDocument) -> list[PdfHeading]:
    marks: list[PdfHeading] = []
    for bookmark in pdf.get_toc():
        target = bookmark.get_dest()
        page = target.get_index() if target else None
        title = collapse_blanks(_decode_text(bookmark.get_title))
        if page is not None and title:
            marks.append(PdfHeading(bookmark.level, title, page, title))
        if len(marks) >= _MAX_OUTLINE:
            break
    return sorted(marks, key=lambda mark: mark.page)


def _build_sections(
    pages: Sequence[Sequence[str]], marks: Sequence[PdfHeading], recognised: Mapping[int, Sequence[RecognisedLine]]
) -> tuple[Section, ...]:
    outline = Outline()
    usual = _measure_usual_width(pages)
    waiting = list(reversed(marks))
    for number, lines in enumerate(pages):
        if number in recognised:
            kept = [line for line in recognised[number] if line.text in lines]
            add_recognised_page(outline, number + 1, kept, _BOX, usual)
            continue
        outline.begin_page(number + 1, f"page={number + 1}")
        here: list[PdfHeading] = []
        while waiting and waiting[-1].page <= number:
            here.append(waiting.pop())
        for mark, part in _split_at_headings(lines, here):
            if mark:
                outline.add_heading(mark.level, mark.title)
            for block in join_paragraphs(part, usual):
                outline.add_block(block)
    return outline.list_sections()


def add_recognised_page(
    outline: Outline, page: int, lines: Sequence[RecognisedLine], anchor: str, usual_width: int = _MIN_USUAL_WIDTH
) -> None:
    """Add a page in parts. The anchor of each is filled with the page, and left, top, width and height of its text."""
    for part in split_page(lines):
        left, top, right, bottom = find_box(part)
        outline.begin_page(page, anchor.format(left, top, right - left, bottom - top, page=page))
        for block in join_paragraphs([line.text for line in part], usual_width):
            outline.add_block(block)


def _split_at_headings(
    lines: Sequence[str], marks: Sequence[PdfHeading]
) -> Iterator[tuple[PdfHeading | None, Sequence[str]]]:
    """Split a page at its headings. A heading without a line begins at the heading before it."""
    start, current = 0, None
    for mark in marks:
        place = _find_line(lines, mark.line, start)
        end = start if place is None else place
        yield current, lines[start:end]
        # The path already has the heading's own lines.
        start, current = end if place is None else end + mark.lines, mark
    yield current, lines[start:]


def _find_line(lines: Sequence[str], title: str, start: int) -> int | None:
    titles = {_keep_letters(title), _keep_letters(_NUMBERING.sub("", title, count=1))}
    for place in range(start, len(lines)):
        line = lines[place]
        if _keep_letters(line) in titles or (
            _NUMBERING.match(line) and _keep_letters(_NUMBERING.sub("", line, count=1)) in titles
        ):
            return place
    return None


def _keep_letters(text: str) -> str:
    return "".join(text.split()).casefold()


def _measure_usual_width(pages: Sequence[Sequence[str]]) -> int:
    widths = sorted(count_columns(line) for page in pages for line in page)
    return max(_MIN_USUAL_WIDTH, widths[int(_USUAL * (len(widths) - 1))] if widths else 0)


def join_paragraphs(lines: Sequence[str], usual_width: int) -> Iterator[str]:
    """Join lines into paragraphs. Consecutive short lines (a table, a list) stay lines of one block."""

    def is_short(line: tuple[str, bool]) -> bool:
        text, joined = line
        return not joined and not (text.endswith(_ENDS) and count_columns(text) >= _FULL_LINE * usual_width)

    for are_short, run in groupby(_join_broken_lines(lines, usual_width), is_short):
        texts = [text for text, _ in run]
        yield from ["\n".join(texts)] if are_short else texts


def _join_broken_lines(lines: Sequence[str], usual_width: int) -> Iterator[tuple[str, bool]]:
    """Yield the lines before the page's width broke them, and whether each was broken."""
    parts: list[str] = []
    for line in lines:
        if parts and (_LIST_MARK.match(line) or not _is_continued(parts[-1], usual_width)):
            yield _join_parts(parts), len(parts) > 1
            parts = []
        parts.append(line)
    if parts:
        yield _join_parts(parts), len(parts) > 1


def _is_continued(line: str, usual_width: int) -> bool:
    # PDFium joins hyphenated words, so only the part after the hyphen counts.
    return line.endswith(_HYPHENS) or count_columns(line.rpartition(_JOINT)[2]) >= _FULL_LINE * usual_width


def _join_parts(parts: Sequence[str]) -> str:
    text = parts[0]
    for part in parts[1:]:
        if text.endswith(_HYPHENS):
            text = text[:-1] + part
        elif text[-1:] > "\u2e80" and part[:1] > "\u2e80":
            text += part
        else:
            text = f"{text} {part}"
    return text.translate(dict.fromkeys(map(ord, _HYPHENS)))


def _choose_title(metadata_title: str, pages: Sequence[Sequence[str]], marks: Sequence[PdfHeading]) -> str | None:
    """Return the metadata's title unless a program wrote it, else the top heading or first line of page one."""
    metadata_title = collapse_blanks(metadata_title)
    if metadata_title and not _NO_TITLE.fullmatch(metadata_title):
        return metadata_title[:_MAX_TITLE_CHARACTERS]
    headings = [mark for mark in marks if mark.page == 0]
    if headings:
        return min(headings, key=lambda mark: mark.level).title
    first = next((page[0] for page in pages if page), "")
    return first if first and len(first) <= _MAX_TITLE_CHARACTERS and not first.endswith(_ENDS) else None
