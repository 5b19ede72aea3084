"""Parse plain text into paragraphs."""

from __future__ import annotations

from collections.abc import Iterator

from knowledge.chunking.lines import iterate_lines
from knowledge.interfaces import Document
from knowledge.parsing.decoding import decode_text
from knowledge.parsing.outline import Outline, make_title_from_name


def parse_text(data: bytes, document: str, media_type: str | None = None) -> Document:
    """Parse plain text of any encoding. The title is the file's name."""
    outline = Outline()
    for paragraph in split_paragraphs(decode_text(data, media_type=media_type)):
        outline.add_block(paragraph)
    return Document(make_title_from_name(document), outline.list_sections())


def split_paragraphs(text: str) -> Iterator[str]:
    """Split at blank lines, in linear time."""
    paragraph: list[str] = []
    for line in iterate_lines(text):
        if line.strip():
            paragraph.append(line.rstrip())
        elif paragraph:
            yield "\n".join(paragraph)
            paragraph = []
    if paragraph:
        yield "\n".join(paragraph)
