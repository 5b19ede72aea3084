"""Split a web page into passages, and choose those that are worth embedding. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from knowledge.chunking import chunker
from knowledge.chunking.blocks import CountTokens
from knowledge.interfaces import EVERYONE, WEB, Chunk, Document
from knowledge.lexical import terms
from knowledge.lexical.bm25 import choose_likeliest
from knowledge.web.reading.page_loader import WebPage

_KINDS: Final = frozenset({"pdf", "docx", "pptx", "xlsx", "csv", "md", "txt"})
"""Extensions of files; any other address counts as an HTML page."""
_MAX_CHARACTERS: Final = 200_000
"""Of a page's text; the rest is ignored."""


def select_passages(
    page: WebPage, query_terms: Sequence[str], limit: int, count_tokens: CountTokens
) -> tuple[list[Chunk], dict[int, str]]:
    """Return a page's passages, and the index terms of the chosen ones by their place."""
    kind = PurePosixPath(urlsplit(page.final_url).path).suffix.removeprefix(".").lower()
    chunks = [
        replace(chunk, kind=kind if kind in _KINDS else "html", modified_at=page.published)
        for chunk in chunker.chunk_document(
            Document(page.document.title, tuple(chunker.truncate_sections(page.document.sections, _MAX_CHARACTERS))),
            source=WEB,
            document_id=page.final_url,
            url=page.final_url,
            readers=EVERYONE,
            count_tokens=count_tokens,
        )
    ]
    index = [terms.index_terms(chunk.searchable_text) for chunk in chunks]
    return chunks, {place: index[place] for place in choose_likeliest(index, query_terms, limit)}
