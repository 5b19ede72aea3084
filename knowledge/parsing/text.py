"""Plain text: paragraphs as they stand."""

from __future__ import annotations

from knowledge.interfaces import Document
from knowledge.parsing.decoding import decode
from knowledge.parsing.outline import Outline, name_title


def parse_text(data: bytes, document: str, media_type: str | None = None) -> Document:
    """Parse plain text of any encoding; the title is the file's name."""
    outline = Outline()
    for paragraph in split_paragraphs(decode(data, media_type=media_type)):
        outline.block(paragraph)
    return Document(name_title(document), outline.sections())


def split_paragraphs(text: str) -> list[str]:
    """Split at blank lines, in linear time."""
    paragraphs: list[str] = []
    lines: list[str] = []
    for line in text.split("\n"):
        if line.strip():
            lines.append(line.rstrip())
        elif lines:
            paragraphs.append("\n".join(lines))
            lines = []
    if lines:
        paragraphs.append("\n".join(lines))
    return paragraphs
