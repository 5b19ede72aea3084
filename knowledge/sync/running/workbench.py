"""What turns documents into rows: this machine, or the nodes of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from knowledge.interfaces import Chunk, DocumentContent, Embedder, ListedDocument, Matrix, SourceKey
from knowledge.lexical.terms import index_terms


class ChunkDocument(Protocol):
    """Parses and splits documents."""

    def __call__(
        self, key: SourceKey, listed: ListedDocument, content: DocumentContent, /, *, recognises: bool = False
    ) -> Awaitable[tuple[str, Sequence[Chunk]]]:
        """Return a document's title and its chunks, in order.

        Raises:
            DocumentScanned: pages have only images of text. With ``recognises`` they are read, which takes long.
            ParseError: it cannot be read.

        """


class Workbench(Protocol):
    """Computes rows, and writes nothing: only the leader writes the store and the manifest."""

    @property
    def place(self) -> str:
        """Return where it computes, "" for this machine."""

    @property
    def workers(self) -> int:
        """Return how many processes compute at the same time."""

    @property
    def chunk_document(self) -> ChunkDocument:
        """Return the function that parses a document and splits it."""

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of passages; raise ``EmbedderError`` if it fails."""

    async def index_terms(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the lexical terms of passages (``knowledge.lexical.terms``)."""


class LocalWorkbench:
    """``Workbench`` of this process."""

    place = ""
    workers = 1

    def __init__(self, embedder: Embedder, chunk_document: ChunkDocument) -> None:
        self.chunk_document = chunk_document
        self._embedder = embedder

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of passages."""
        return await self._embedder.embed_passages(texts)

    async def index_terms(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the terms of passages, computed in a thread."""
        return await asyncio.to_thread(list, map(index_terms, texts))
