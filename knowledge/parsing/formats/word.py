"""Parse DOCX: paragraphs, lists and tables under the headings, in reading order."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

import docx
from docx.opc.exceptions import OpcError
from docx.oxml import parse_xml
from docx.oxml.ns import qn

from knowledge.interfaces import Document
from knowledge.parsing.formats.office_archive import reading_package
from knowledge.parsing.formats.tables import format_markdown_table
from knowledge.parsing.outline import Outline, collapse_blanks, make_document, make_title_from_name

Element = Any  # of lxml; python-docx has no types
Notes = dict[tuple[str, str], str]
"""The text of notes, by kind and id."""

_PARAGRAPH, _TABLE, _ROW, _CELL = (qn(f"w:{name}") for name in ("p", "tbl", "tr", "tc"))
_TEXT, _TAB = qn("w:t"), qn("w:tab")
_BREAKS: Final = {qn("w:br"), qn("w:cr")}
_SKIPPED_TAGS: Final = {
    qn("w:del"), qn("w:moveFrom"), qn("w:pPr"), qn("w:rPr"), qn("w:instrText"),
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}  # fmt: skip
"""Deleted text, properties, field codes, and the copies of drawings for old programs."""
_NOTES: Final = {"footnotes": "footnote", "endnotes": "endnote"}
_REFERENCES: Final = {qn(f"w:{kind}Reference"): kind for kind in _NOTES.values()}
_HEADING_NAME = re.compile(r"heading ([1-9])", re.IGNORECASE)
_GENERIC_TITLE = re.compile(r"word document|microsoft word.*|untitled.*|document\d*|文档\d*", re.IGNORECASE)
_STYLE, _ITEM, _LEVEL = (f"{qn('w:pPr')}/{qn(f'w:{name}')}" for name in ("pStyle", "numPr", "outlineLvl"))


def parse_docx(data: bytes, document: str) -> Document:
    """Parse a Word document. The title is its properties', else its title or first heading, else its name.

    Raises:
        DocumentTooLarge: it is too large when unpacked.
        ParseError: it is broken.

    """
    with reading_package(data, document, OpcError):
        opened = docx.Document(io.BytesIO(data))
        writer = _WordWriter(_read_heading_levels(opened), _read_item_styles(opened), _read_notes(opened))
        writer.write_body(opened.element.body)
        core_title = collapse_blanks(opened.core_properties.title or "")
    title = "" if _GENERIC_TITLE.fullmatch(core_title) else core_title
    return make_document(
        title or writer.outline.title or make_title_from_name(document), writer.outline.list_sections()
    )


def _read_heading_levels(opened: Any) -> dict[str, int]:  # noqa: ANN401 - python-docx has no types
    """Return each heading style's level, 0 for the document's title. Localised styles have English names inside."""
    levels: dict[str, int] = {}
    for style in opened.styles.element.iter(qn("w:style")):
        name = style.find(qn("w:name"))
        label = name.get(qn("w:val"), "") if name is not None else ""
        heading = _HEADING_NAME.fullmatch(label)
        own = style.find(_LEVEL)
        level = 0 if label.lower() == "title" else int(heading.group(1)) if heading else _read_outline_level(own)
        if level is not None:
            levels[style.get(qn("w:styleId"), "")] = level
    return levels


def _read_item_styles(opened: Any) -> frozenset[str]:  # noqa: ANN401 - python-docx has no types
    """Return the ids of the styles that number their paragraphs or give them bullets."""
    styles = opened.styles.element.iter(qn("w:style"))
    return frozenset(style.get(qn("w:styleId"), "") for style in styles if style.find(_ITEM) is not None)


def _read_notes(opened: Any) -> Notes:  # noqa: ANN401 - python-docx has no types
    """Return the text of footnotes and endnotes."""
    notes: Notes = {}
    for relation in opened.part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if kind in _NOTES and not relation.is_external:
            for note in parse_xml(relation.target_part.blob).iter(qn(f"w:{_NOTES[kind]}")):
                text = " ".join(_read_text(block, {}).strip() for block in _iterate_blocks(note)).strip()
                notes[_NOTES[kind], note.get(qn("w:id"), "")] = text
    return notes


def _read_outline_level(node: Element | None) -> int | None:
    value = node.get(qn("w:val"), "9") if node is not None else "9"
    return int(value) + 1 if value.isdigit() and int(value) < 9 else None  # noqa: PLR2004 - 9 is body text


class _WordWriter:
    """Walks the body and writes its blocks into an outline."""

    def __init__(self, levels: dict[str, int], item_styles: frozenset[str], notes: Notes) -> None:
        self.outline = Outline()
        self._levels = levels
        self._item_styles = item_styles
        self._notes = notes

    def write_body(self, body: Element) -> None:
        for element in _iterate_blocks(body):
            if element.tag != _TABLE:
                self._write_paragraph(element)
            elif table := format_markdown_table(list(_read_table_rows(element, self._notes))):
                self.outline.add_block(table)

    def _write_paragraph(self, element: Element) -> None:
        text = _read_text(element, self._notes).strip()
        level = self._find_level(element)
        if not text:
            return
        if level is not None:
            self.outline.add_heading(level, text)
        elif self._is_item(element):
            self.outline.add_item(f"- {text}")
        else:
            self.outline.add_block(text)

    def _is_item(self, element: Element) -> bool:
        """Return whether a paragraph is a list item, by itself or by its style."""
        style = element.find(_STYLE)
        by_style = style is not None and style.get(qn("w:val"), "") in self._item_styles
        return by_style or element.find(_ITEM) is not None

    def _find_level(self, element: Element) -> int | None:
        style = element.find(_STYLE)
        named = self._levels.get(style.get(qn("w:val"), "")) if style is not None else None
        return named if named is not None else _read_outline_level(element.find(_LEVEL))


def _iterate_blocks(parent: Element) -> Iterator[Element]:
    """Yield paragraphs and tables in order, also within content controls and tracked insertions."""
    waiting = list(reversed(parent))
    while waiting:
        element = waiting.pop()
        if element.tag in {_PARAGRAPH, _TABLE}:
            yield element
        elif element.tag not in _SKIPPED_TAGS:
            waiting.extend(reversed(element))


def _read_table_rows(table: Element, notes: Notes) -> Iterator[list[str]]:
    for row in table.iter(_ROW):
        cells: list[str] = []
        for cell in row.iter(_CELL):
            if next(cell.iterancestors(_ROW), None) is row:
                text = " ".join(filter(None, (_read_text(block, notes) for block in _iterate_blocks(cell))))
                cells += [text, *[""] * (_count_columns(cell) - 1)]
        if any(cells) and next(row.iterancestors(_TABLE), None) is table:
            yield cells


def _count_columns(cell: Element) -> int:
    """Return over how many columns a cell goes; Word has at most 63."""
    value = cell.xpath("string(./w:tcPr/w:gridSpan/@w:val)")
    return min(int(value), 63) if value.isdecimal() else 1


def _read_text(element: Element, notes: Notes) -> str:
    """Return all text of a paragraph or table in order, with text boxes, insertions, and notes in parentheses."""
    pieces: list[str] = []
    waiting = list(reversed(element))
    while waiting:
        node = waiting.pop()
        if node.tag == _TEXT:
            pieces.append(node.text or "")
        elif node.tag in _BREAKS or (node.tag == _PARAGRAPH and pieces):
            pieces.append("\n")
        elif node.tag == _TAB:
            pieces.append("\t")
        elif node.tag in _REFERENCES:
            note = notes.get((_REFERENCES[node.tag], node.get(qn("w:id"), "")))
            pieces.append(f" ({note})" if note else "")
        if node.tag not in _SKIPPED_TAGS:
            waiting.extend(reversed(node))
    return "".join(pieces)
