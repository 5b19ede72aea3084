"""Parse a document and split it for an embedder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from knowledge.chunking import chunker
from knowledge.control_characters import clean_name
from knowledge.interfaces import Chunk, Document, DocumentContent, Embedder, ListedDocument, SourceKey
from knowledge.sync.running.workbench import ChunkDocument

if TYPE_CHECKING:
    from knowledge.parsing import Parser


def make_chunking(parser: Parser, embedder: Embedder) -> ChunkDocument:
    """Return a function that parses a document and splits it for this embedder."""

    async def make_passages(
        key: SourceKey, listed: ListedDocument, content: DocumentContent
    ) -> tuple[str, Sequence[Chunk]]:
        name = content.name or listed.document
        document, kind = await parser.parse(name, content), parser.find_kind(name, content)
        title = clean_name(content.title or "") or document.title
        named = document if title == document.title else replace(document, title=title)
        return title, await asyncio.to_thread(_cut_document, named, key, listed, kind, embedder)

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
