"""Parse a document and split it for an embedder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from knowledge.chunking import chunker
from knowledge.control_characters import clean_name
from knowledge.errors import DocumentScanned, ParseError, ParserUnavailable
from knowledge.interfaces import Chunk, Document, DocumentContent, Embedder, ListedDocument, SourceKey
from knowledge.sync.running.workbench import ChunkDocument

if TYPE_CHECKING:
    from knowledge.parsing import Parser
    from knowledge.parsing.text_recognition import TextRecognition


def make_chunking(parser: Parser, embedder: Embedder, recognition: TextRecognition | None = None) -> ChunkDocument:
    """Return a function that parses a document and splits it for this embedder."""

    async def make_passages(
        key: SourceKey, listed: ListedDocument, content: DocumentContent, *, recognises: bool = False
    ) -> tuple[str, Sequence[Chunk]]:
        name = content.name or listed.document
        document, kind = await parse(name, content, recognises=recognises), parser.find_kind(name, content)
        title = clean_name(content.title or "") or document.title
        named = document if title == document.title else replace(document, title=title)
        return title, await asyncio.to_thread(_cut_document, named, key, listed, kind, embedder)

    async def parse(name: str, content: DocumentContent, *, recognises: bool) -> Document:
        try:
            document = await parser.parse(name, content)
        except DocumentScanned as error:
            if recognition is None or not recognises or not error.unread_pages:
                raise
            return await recognition.read(name, content, error.unread_pages)
        if recognition is None or not document.unread_pages:
            return document
        if not recognises:
            raise DocumentScanned(f"{name} has pages with only images of text.", document.unread_pages)
        try:
            return await recognition.read(name, content, document.unread_pages)
        except ParserUnavailable:
            raise  # the images may be read at the next sync
        except ParseError:
            return document  # the other pages have text

    return make_passages


def _cut_document(
    document: Document, key: SourceKey, listed: ListedDocument, kind: str, embedder: Embedder
) -> list[Chunk]:
    chunks = chunker.chunk_document(
        document,
        source=key.id,
        document_id=listed.document,
        url=listed.url,
        readers=listed.readers,
        count_tokens=embedder.count_tokens,
    )
    return [replace(chunk, kind=kind, modified_at=listed.modified_at) for chunk in chunks]
