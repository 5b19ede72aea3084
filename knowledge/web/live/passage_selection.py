"""A page of the web cut into passages, and which of them are worth measuring. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from knowledge import terms
from knowledge.bm25 import compute_weights
from knowledge.chunking import chunker
from knowledge.chunking.blocks import CountTokens
from knowledge.interfaces import EVERYONE, WEB, Chunk, Document
from knowledge.web.reading.page_reader import WebPage

_KINDS: Final = frozenset({"pdf", "docx", "pptx", "xlsx", "csv", "md", "txt"})
"""Of a file that an address ends with; everything else is taken for a page."""
_OPENING_PASSAGES: Final = 3
"""Passages at a page's beginning that are measured whatever their words are: there it says what it is about."""
_MAX_CHARACTERS: Final = 200_000
"""Of a page's text; a book's further chapters are left out."""


def select_passages(
    page: WebPage, asked: Sequence[str], most: int, count_tokens: CountTokens
) -> tuple[list[Chunk], dict[int, str]]:
    """Return a page's passages, and the index terms of those that are measured, by their place."""
    kind = PurePosixPath(urlsplit(page.final_url).path).suffix.removeprefix(".").lower()
    chunks = [
        replace(chunk, kind=kind if kind in _KINDS else "html", modified_at=page.published)
        for chunk in chunker.chunk(
            _truncate_document(page.document),
            source=WEB,
            document_id=page.final_url,
            url=page.final_url,
            readers=EVERYONE,
            count_tokens=count_tokens,
        )
    ]
    index = [terms.index_terms(chunk.searchable) for chunk in chunks]
    return chunks, {place: index[place] for place in choose_likeliest(index, asked, most)}


def choose_likeliest(index: Sequence[str], asked: Sequence[str], most: int) -> list[int]:
    """Return the places of the passages that are likeliest to answer by their words, the opening ones with them."""
    if len(index) <= most:
        return list(range(len(index)))
    weigh = compute_weights(asked, index)
    scores = [weigh.bm25(one) for one in index]
    best = sorted(range(len(index)), key=lambda place: (place >= _OPENING_PASSAGES, -scores[place], place))
    return sorted(best[:most])


def _truncate_document(document: Document) -> Document:
    """Return a document as far as it is read."""
    left, sections = _MAX_CHARACTERS, []
    for section in document.sections:
        if left <= 0:
            break
        sections.append(section if len(section.text) <= left else replace(section, text=section.text[:left]))
        left -= len(section.text)
    return Document(document.title, tuple(sections))
