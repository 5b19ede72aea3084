"""Parse PPTX: a section for each slide, with its tables and speaker notes. Slides count as pages."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pptx
from pptx.exc import PythonPptxError

from knowledge.interfaces import Document
from knowledge.parsing.formats.office_archive import reading_package
from knowledge.parsing.formats.tables import format_markdown_table
from knowledge.parsing.outline import Outline, collapse_blanks, make_document, make_title_from_name

Shape = Any

_GENERIC_TITLE = re.compile(r"powerpoint[- ]pr\w+|untitled.*|演示文稿\d*|slide 1", re.IGNORECASE)


def parse_pptx(data: bytes, document: str) -> Document:
    """Parse a presentation. The title is its properties', else the first slide's, else the file's name.

    Raises:
        DocumentTooLarge: it is too large when unpacked.
        ParseError: it is broken.

    """
    with reading_package(data, document, PythonPptxError):
        return _parse_deck(pptx.Presentation(io.BytesIO(data)), document)


def _parse_deck(deck: Any, document: str) -> Document:  # noqa: ANN401 - python-pptx has no types
    outline = Outline()
    first = ""
    for number, slide in enumerate(deck.slides, start=1):
        title = slide.shapes.title
        heading = collapse_blanks(title.text_frame.text) if title is not None else ""
        first = first or heading
        outline.begin_page(number)
        outline.add_heading(1, heading or f"Slide {number}")
        for block in _iterate_blocks(
            shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id
        ):
            outline.add_block(block)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            outline.add_block(slide.notes_slide.notes_text_frame.text)
    core_title = collapse_blanks(deck.core_properties.title or "")
    title_text = "" if _GENERIC_TITLE.fullmatch(core_title) else core_title
    return make_document(title_text or first or make_title_from_name(document), outline.list_sections())


def _iterate_blocks(shapes: Iterable[Shape]) -> Iterator[str]:
    """Yield the text of shapes and grouped shapes, in the order in which they were drawn."""
    waiting = list(shapes)[::-1]
    while waiting:
        shape = waiting.pop()
        if getattr(shape, "shapes", None) is not None:
            waiting.extend(list(shape.shapes)[::-1])
        elif getattr(shape, "has_table", False):
            yield format_markdown_table([[cell.text for cell in row.cells] for row in shape.table.rows])
        elif shape.has_text_frame:
            yield "\n".join(_iterate_lines(shape.text_frame))


def _iterate_lines(frame: Any) -> Iterator[str]:  # noqa: ANN401 - python-pptx has no types
    for paragraph in frame.paragraphs:
        text = paragraph.text.replace("\v", "\n").strip()
        if text:
            yield f"{'  ' * paragraph.level}- {text}" if paragraph.level else text
