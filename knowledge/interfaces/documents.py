"""A parsed document and its passages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from knowledge.interfaces.audiences import ANY_NUMBER, EVERYONE, make_class_key

WEB = "\x1fweb\x1f"
"""``Chunk.source`` of a page of the live web, which is not from a source."""
_PUBLIC: Final = make_class_key(EVERYONE)


@dataclass(frozen=True, slots=True)
class Section:
    """Text under one heading path."""

    headings: tuple[str, ...]
    """From the outermost to the innermost, without the document's title."""
    text: str = field(repr=False)
    """Plain text like Markdown: blank lines separate paragraphs; tables and code are unchanged."""
    page: int | None = None
    """From 1, if the format has pages, slides or sheets."""
    anchor: str | None = None
    """What comes after ``#`` in a link to this section, if the format has anchors."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document."""

    title: str
    sections: tuple[Section, ...]
    recognised_pages: int = 0
    """Pages whose text was recognised in their pictures, so that it may have mistakes."""
    unread_pages: int = 0
    """Pages that have only images of text, and were not read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage, which is embedded, stored, found and cited."""

    id: str
    """A UUID of source, document, place and text (``make_chunk_id``), so an unchanged passage keeps its id."""
    source: str
    """The source's ``SourceKey.id``."""
    document: str
    title: str
    heading: str
    """The heading path joined by " › ", "" at the top of a document."""
    text: str = field(repr=False)
    url: str | None
    audience: str = _PUBLIC
    """The key of its document's audience class (``make_class_key``); the manifest has the readers."""
    kind: str = ""
    """The document's format, for the filter ``type:``, in lower case and without a dot (``pdf``, ``md``)."""
    modified_at: datetime | None = None
    """When this version was made, as the source says; aware, UTC."""
    principals: tuple[int, ...] = (ANY_NUMBER,)
    """``number_readers`` of its readers, by which a ``NumberedStore`` filters; other stores do not keep it."""

    @property
    def searchable_text(self) -> str:
        """Return the text whose vector and terms are indexed: the title path, then the text."""
        path = " › ".join(part for part in (self.title, self.heading) if part)
        return f"{path}\n{self.text}" if path else self.text
