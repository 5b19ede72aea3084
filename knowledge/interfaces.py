"""Every seam of the knowledge room on one page: what is passed, and who passes it.

The direction of data is ``Source → parse → chunk → Embedder → Store``, with the manifest deciding what is current,
and ``query → Embedder, Store (two legs) → fusion → manifest → Hit`` on the way back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""One embedding, shape ``(dimensions,)``, unit length."""

Matrix = NDArray[np.float32]
"""Several embeddings, shape ``(texts, dimensions)``, each row of unit length."""

EVERYONE = frozenset({"*"})
"""The audience of a document that anybody may read."""


# ── From a source ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SourceKey:
    """What a source *is*: name, kind and root together. Another root is another source, and starts empty."""

    name: str
    kind: str
    root: str

    @property
    def id(self) -> str:
        """Return the form that is kept in the manifest and in the store's rows."""
        return f"{self.name}\x1f{self.kind}\x1f{self.root}"


@dataclass(frozen=True, slots=True)
class Listed:
    """One document as its source lists it, before anything is read."""

    document: str
    """Its id, relative to the source's root, ``/`` between parts; what people see."""
    version: str
    """A cheap token (size and mtime, ETag, commit) that changes when the content may have; compared for equality."""
    size_bytes: int | None = None
    modified_at: datetime | None = None
    """Aware, UTC."""
    url: str | None = None
    """Where a person opens it, or None."""
    readers: frozenset[str] = EVERYONE


@dataclass(frozen=True, slots=True)
class Content:
    """A document's bytes as read, with the version that they had *when they were read*."""

    data: bytes = field(repr=False)
    media_type: str | None
    """As the source tells it; None lets the parser judge by name and content."""
    version: str


class Source(Protocol):
    """Where documents come from. Each kind is one file in ``knowledge/sources`` and is built by the registry."""

    @property
    def key(self) -> SourceKey:
        """Return the source's identity."""

    def list(self) -> AsyncIterator[Sequence[Listed]]:
        """Yield the documents in batches.

        Raises:
            SourceError: the listing failed or ended early; nothing may be deleted on the strength of it.

        """

    async def read(self, listed: Listed) -> Content:
        """Read one document.

        Raises:
            SourceError: it cannot be read (gone, no right, over the size limit).

        """


# ── Parsed ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text under one heading path."""

    headings: tuple[str, ...]
    """From the outermost to the innermost, without the document's title."""
    text: str = field(repr=False)
    """Markdown-like plain text: paragraphs apart by a blank line, tables and code kept as they are."""
    page: int | None = None
    """1-based, where the format has pages (slides and sheets count too)."""
    anchor: str | None = None
    """What comes after ``#`` in a link to this section, where the format has one."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document."""

    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: what is embedded, stored, found and cited."""

    id: str
    """A UUID made of source, document, place and text (``chunking.chunk_id``): the same passage keeps its id."""
    source: str
    """The source's ``SourceKey.id``."""
    document: str
    title: str
    heading: str
    """The heading path joined by " › ", "" at the top of a document."""
    text: str = field(repr=False)
    """As quoted to a person and to the model."""
    url: str | None
    readers: frozenset[str] = EVERYONE

    @property
    def searchable(self) -> str:
        """Return the text that is embedded and whose terms are indexed: title path, then the text."""
        path = " › ".join(part for part in (self.title, self.heading) if part)
        return f"{path}\n{self.text}" if path else self.text


# ── Embedded and stored ──────────────────────────────────────────────────────────────────────────────────────────────


class Embedder(Protocol):
    """Texts to unit vectors; safe to call from several tasks at once."""

    @property
    def identity(self) -> str:
        """Return the model, its artefact's checksum and its precision: two identities never share an index."""

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""

    async def embed_query(self, text: str) -> Vector:
        """Embed one question; goes before waiting passages."""

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed passages, in the order given."""

    def count_tokens(self, text: str) -> int:
        """Count tokens of the embedder's own vocabulary (what a chunk's length is measured in)."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A row to write: the chunk, its vector and its BM25 terms (``terms.index_terms`` of ``chunk.searchable``)."""

    chunk: Chunk
    vector: Vector = field(repr=False)
    terms: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row as a search leg finds it. ``bm25`` is 0.0 where the lexical leg did not find it."""

    chunk: Chunk
    bm25: float
    cosine: float


class Store(Protocol):
    """Rows by id, searched by two legs. It proposes; the manifest decides.

    One store object serves one index (``index`` names a table or collection); every method raises ``StoreError`` or a
    subclass, within a deadline of its own, and may be cancelled. A row written is found by the next search.
    """

    @property
    def kind(self) -> str:
        """Return ``lancedb`` or ``weaviate``."""

    async def open(self, index: str, dimensions: int) -> None:
        """Open the index, creating it if it is not there."""

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        """Insert or replace rows; returns once every row is acknowledged, raises if any is not."""

    async def delete(self, ids: Collection[str]) -> None:
        """Delete rows; ids that are not there are no error."""

    async def candidates(
        self,
        vector: Vector,
        terms: str,
        *,
        pool: int,
        sources: Collection[str],
        readers: Collection[str] = EVERYONE,
    ) -> Sequence[Candidate]:
        """Return the union of the ``pool`` best rows of each leg, with exact cosines for all.

        Only rows of ``sources`` that at least one of ``readers`` may read; the order says nothing.
        """

    def ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all rows, in batches, for repair."""

    async def count(self) -> int:
        """Count the rows."""

    async def indexes(self) -> Sequence[str]:
        """Name the indexes of ours that exist in the store."""

    async def drop(self, index: str) -> None:
        """Drop an index; one that is not there is no error."""

    async def maintain(self) -> None:
        """Do what keeps searches fast after many writes (compaction, index building); off the query path."""

    async def close(self) -> None:
        """Release everything; safe to call twice."""


@dataclass(frozen=True, slots=True)
class Current:
    """What the manifest says of a chunk that is current; a chunk that it does not list may not be shown."""

    source_name: str
    readers: frozenset[str]
    """As the manifest has them now; a store's row may be older."""
    synced_at: datetime
    """When this version of the document was last seen in its source; aware, UTC."""


# ── What the bot sees ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers a query, as the manifest confirms it."""

    id: str
    source: str
    """The source's name."""
    document: str
    title: str
    heading: str
    url: str | None
    text: str = field(repr=False)
    score: float
    """The fused score, 0 to 1, comparable within one query."""
    confidence: float
    """An absolute score, comparable across queries (``fusion.confidence``)."""
    synced_at: datetime
    """When this version of the document was last seen in its source; aware, UTC."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found."""

    query: str
    hits: tuple[Hit, ...]
    seconds: float
    """From the call to the return, embedding included."""
    answerable: bool
    """Whether the best hits' confidence (``fusion.surest``) is over the measured "I do not know" threshold."""
