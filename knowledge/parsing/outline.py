"""Collect blocks of text under headings into sections. Every parser writes into an outline."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from knowledge.interfaces import Document, Section

MAX_HEADING_CHARACTERS = 300
"""A longer heading is really a paragraph. It is cut in the path and complete in the text."""

_BLANKS = re.compile(r"\s+")
_SEPARATORS = re.compile(r"[-_\s]+")


MAX_SECTIONS: Final = 100_000


class TooManySections(Exception):
    """A document has more sections than ``MAX_SECTIONS``."""


class Outline:
    """Headings, blocks and pages in reading order. Call ``list_sections()`` once at the end."""

    def __init__(self, summary: str = "") -> None:
        """Begin with a summary of the document, if it has one; the text begins after it."""
        self.title: str | None = None
        """The heading of the highest level with which the text begins, if it does."""
        self._began = False
        self._sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._blocks: list[str] = []
        self._page: int | None = None
        self._page_anchor: str | None = None
        self._anchor: str | None = None
        self._in_list = False
        self._bare: str | None = None
        """A heading without any content yet."""
        if summary.strip():
            self._blocks.append(summary.strip("\n").rstrip())

    def add_heading(self, level: int, title: str, anchor: str | None = None) -> None:
        """Begin a section under the nearest heading of a smaller level."""
        title = collapse_blanks(title)
        if level <= 1 and not self._began:
            self.title = title
        self._began = True
        if not title:
            return
        # A heading with only deeper headings stays in their paths. One without any content becomes text.
        self._close_section(keep_bare=bool(self._path) and level <= self._path[-1][0])
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, title[:MAX_HEADING_CHARACTERS]))
        self._anchor = anchor
        self._bare = title
        if len(title) > MAX_HEADING_CHARACTERS:
            self.add_block(title)

    def add_block(self, text: str) -> None:
        """Add a paragraph, list, table or code block."""
        text = text.strip("\n").rstrip()
        self._in_list = False
        if text.strip():
            self._began = True
            self._blocks.append(text)
            self._bare = None

    def add_item(self, text: str) -> None:
        """Add a list item. Consecutive items are lines of one block."""
        in_row = self._in_list and bool(self._blocks)
        if in_row and text.strip():
            self._blocks[-1] = f"{self._blocks[-1]}\n{text.rstrip()}"
        else:
            self.add_block(text)
        self._in_list = True

    def begin_page(self, number: int, anchor: str | None = None) -> None:
        """Begin a page. The headings continue, but their anchors do not."""
        self._close_section(keep_bare=False)
        self._page, self._page_anchor, self._anchor = number, anchor, None

    def list_sections(self) -> tuple[Section, ...]:
        """Return the sections."""
        self._close_section(keep_bare=True)
        return tuple(self._sections)

    def _close_section(self, *, keep_bare: bool) -> None:
        if keep_bare and self._bare:
            self._blocks.append(self._bare)
        if self._blocks:
            headings = tuple(title for _, title in self._path)
            self._sections.append(
                Section(headings, "\n\n".join(self._blocks), self._page, self._anchor or self._page_anchor)
            )
            self._blocks = []
            if len(self._sections) > MAX_SECTIONS:
                raise TooManySections
        if keep_bare:
            self._bare = None


def collapse_blanks(text: str) -> str:
    """Return the text on one line, with collapsed blanks."""
    return _BLANKS.sub(" ", text).strip()


def make_title_from_name(document: str) -> str:
    """Make a title from a document's file name."""
    return _SEPARATORS.sub(" ", PurePosixPath(document).stem).strip() or document


def make_document(title: str, sections: tuple[Section, ...]) -> Document:
    """Return the document. Its title is removed from heading paths that begin with it."""
    return Document(title, tuple(_drop_title(title, section) for section in sections))


def _drop_title(title: str, section: Section) -> Section:
    if section.headings and section.headings[0].casefold() == title.casefold():
        return Section(section.headings[1:], section.text, section.page, section.anchor)
    return section
