"""Every seam of the knowledge room on one page: what is passed, and who passes it.

The direction of data is ``Source → parse → chunk → Embedder → Store``, with the manifest deciding what is current,
and ``query → Embedder, Store (two legs) → fusion → manifest → Hit`` on the way back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from knowledge.errors import KnowledgeError, UnreadableReason
from knowledge.web.http.settings import WebSettings

Vector = NDArray[np.float32]
"""One embedding, shape ``(dimensions,)``, unit length."""

Matrix = NDArray[np.float32]
"""Several embeddings, shape ``(texts, dimensions)``, each row of unit length."""

EVERYONE = frozenset({"*"})
"""The audience of a document that anybody may read."""

WEB = "\x1fweb\x1f"
"""``Chunk.source`` of a page of the live web, which is no source's."""


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
class ListedDocument:
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
class DocumentContent:
    """A document's bytes as read, with the version that they had *when they were read*."""

    data: bytes = field(repr=False)
    media_type: str | None
    """As the source tells it; None lets the parser judge by name and content."""
    version: str
    title: str | None = None
    """As the source tells it (a page's title, a thread's first words); it wins over what the text itself says."""


class Source(Protocol):
    """Where documents come from. Each kind is one file in ``knowledge/sources`` and is built by the registry.

    A listing is always whole: a source that can ask for changes alone keeps the last listing in its ``Memory`` and
    applies the changes to it. So a cursor only saves time, and no failed run can lose a document behind it.
    """

    @property
    def key(self) -> SourceKey:
        """Return the source's identity."""

    def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the documents in batches.

        Raises:
            SourceError: the listing failed or ended early; nothing may be deleted on the strength of it.

        """

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one document.

        Raises:
            SourceError: it cannot be read (gone, no right, over the size limit).

        """

    async def close(self) -> None:
        """Let go of connections and what was kept for this sync; called after each sync, and used again later."""


@runtime_checkable
class WatchableSource(Protocol):
    """A source that can tell when something in it has changed."""

    def changes(self) -> AsyncIterator[None]:
        """Yield after something has changed; a burst of changes may be one.

        Ends, or raises ``SourceError``, when it cannot watch; the schedule goes on looking in any case.
        """


class Memory(Protocol):
    """What one source remembers from one listing to the next; lost, the next listing is only slower.

    It lies in the manifest's database, so that it is shared where that is shared.
    """

    async def load(self) -> bytes | None:
        """Return what was saved last, None for nothing."""

    async def save(self, data: bytes) -> None:
        """Replace it, whole: once a listing is complete, or as far as it is where the next one can go on from there."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is built with beside its own keys."""

    name: str
    base_dir: Path
    """Where relative paths start: the folder of ``kvasir.toml``."""
    state_dir: Path
    """A folder of this source's own, for files that outlive a sync (a clone); made by whoever first needs it."""
    memory: Callable[[SourceKey], Memory]
    """What this source remembers; another root remembers other things."""
    readers: frozenset[str] = EVERYONE
    """As configured; a source with rights of its own narrows them, never widens (``sources.common.narrow_readers``)."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values of the environment variables that keys ending in ``_env`` name: ``token_env`` brings ``token``."""
    now: Callable[[], float] = time.time
    """Seconds since the epoch."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    web: WebSettings = field(default_factory=WebSettings)
    """How the web is gone to: proxies, ports, certificates."""


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
    kind: str = ""
    """What ``type:`` looks for: the document's format, in lower case and without a dot (``pdf``, ``md``)."""
    modified_at: datetime | None = None
    """When the source says that this version was made; aware, UTC."""

    @property
    def searchable_text(self) -> str:
        """Return the text that is embedded and whose terms are indexed: title path, then the text."""
        path = " › ".join(part for part in (self.title, self.heading) if part)
        return f"{path}\n{self.text}" if path else self.text


# ── Embedded and stored ──────────────────────────────────────────────────────────────────────────────────────────────


class Priority(IntEnum):
    """The order in which waiting texts are embedded, smallest first."""

    QUERY = 0
    """A question; few tokens."""
    ANSWER = 1
    """Passages that an answer waits for."""
    BACKGROUND = 2
    """Passages of a sync."""


class Embedder(Protocol):
    """Convert texts to unit vectors; safe to call from several tasks at once."""

    @property
    def identity(self) -> str:
        """Return the model, its artefact's checksum and its precision.

        Two identities never share an index. Search and the verifier of answers find their constants by it.
        """

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""

    async def embed_query(self, text: str) -> Vector:
        """Return the vector of one question, which precedes all waiting passages."""

    async def embed_passages(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        """Return the vectors of passages, in the order of ``texts``."""

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        """Return vectors of short texts that are compared with each other, not with passages of an index."""

    def count_tokens(self, text: str) -> int:
        """Count tokens of the embedder's own vocabulary (what a chunk's length is measured in)."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A row to write: the chunk, its vector and its BM25 terms (``terms.index_terms`` of ``chunk.searchable_text``)."""

    chunk: Chunk
    vector: Vector = field(repr=False)
    terms: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row as a search leg finds it. ``bm25`` is 0.0 where the lexical leg did not find it."""

    chunk: Chunk
    """Without readers, kind and date, which the manifest alone may tell: no readers, "" and None."""
    bm25: float
    cosine: float


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a search looks. Every part narrows."""

    sources: frozenset[str]
    """``SourceKey.id`` of each; none finds nothing."""
    readers: frozenset[str] = EVERYONE
    """All who will see the answer. A store proposes rows that at least one of them may read; the manifest decides."""
    kinds: frozenset[str] = frozenset()
    """``Chunk.kind`` of each; none means any."""
    after: datetime | None = None
    """Only what was made at this moment or later; what has no date is left out."""
    before: datetime | None = None
    """Only what was made before this moment; what has no date is left out."""


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

    async def find_candidates(
        self,
        vector: Vector | None,
        terms: str,
        *,
        pool: int,
        scope: Scope,
    ) -> Sequence[Candidate]:
        """Return the union of the ``pool`` best rows in ``scope`` of each leg, with exact cosines for all.

        The order says nothing. Without a vector the lexical leg answers alone, and every cosine is 0.0.
        """

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        """Return the rows with these ids, in any order; ids that are not there are left out."""

    def list_ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all rows, in batches, for repair."""

    async def count(self) -> int:
        """Count the rows."""

    async def list_indexes(self) -> Sequence[str]:
        """Name the indexes of ours that exist in the store."""

    async def drop_index(self, index: str) -> None:
        """Drop an index; one that is not there is no error."""

    async def maintain(self) -> None:
        """Do what keeps searches fast after many writes (compaction, index building); off the query path."""

    async def close(self) -> None:
        """Release everything; safe to call twice."""


@dataclass(frozen=True, slots=True)
class CurrentChunk:
    """What the manifest says of a chunk that is current; a chunk that it does not list may not be shown."""

    source_name: str
    readers: frozenset[str]
    """As the manifest has them now; a store's row may be older."""
    synced_at: datetime
    """When this version of the document was last seen in its source; aware, UTC."""
    row: int = 0
    """The document's number: two chunks with the same one are of one document."""
    place: int = 0
    """The chunk's order in its document, from 0."""
    kind: str = ""
    """As ``Chunk.kind``; here it has the last word."""
    modified_at: datetime | None = None
    """When the version that answers was made; aware, UTC. Here it has the last word."""
    weight: float = 1.0
    """By what its score is multiplied, as configured for its source and document."""


# ── What the bot sees ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class LiveWebRequest:
    """How the live web may be asked for one question; None in its place: not at all."""

    when: Literal["if_weak", "always"]
    """``if_weak``: only where the documents' result is not ``answerable``."""
    links: tuple[str, ...] = ()
    """URLs of the question or the thread: read first, in this order, whatever the search brings."""
    domains: frozenset[str] = frozenset()
    """Only these hosts (ASCII, small letters) and what lies under them; none: any that the configuration allows."""
    search: bool = True
    """Whether the web is searched beside the links."""
    words: str = ""
    """What is searched for, "" for the query's own words. It is masked before it leaves."""
    within_s: float = 12.0
    """For all of it: the search, the fetches side by side, extraction and embedding."""


@dataclass(frozen=True, slots=True)
class WebOrigin:
    """Where on the web a passage was read."""

    host: str
    published: datetime | None
    """As the page says; aware, UTC."""
    fetched_at: datetime
    """When this copy was fetched; aware, UTC."""
    stale: bool
    """Whether a newer copy was asked for and could not be had."""


class SkipReason(StrEnum):
    """Why a page was not read; it says nothing about the inner network."""

    LATE = "late"
    NOT_LISTED = "not listed"
    """Only some sites may be read, and its site is not one of them."""
    TOO_MANY = "too many"
    """Enough other pages are read."""
    NO_TEXT = "no text"
    NOT_FETCHED = "not fetched"
    DEFECT = "defect"


class WebTrouble(StrEnum):
    """Why the web was not searched."""

    SWITCHED_OFF = "switched off"
    NO_PROVIDER = "no provider"
    NO_ANSWER = "no answer"
    """Every provider failed."""
    LATE = "late"
    NO_SITE_ALLOWED = "no site allowed"
    ONLY_PRIVATE_WORDS = "only private words"


@dataclass(frozen=True, slots=True)
class SkippedPage:
    """A page that was not read."""

    url: str
    why: SkipReason | UnreadableReason


@dataclass(frozen=True, slots=True)
class WebSearchReport:
    """What was done on the web for one question."""

    provider: str
    """Who searched; "" where nobody did (links alone)."""
    read: tuple[str, ...]
    """The final URLs of the pages that were read."""
    left_out: tuple[SkippedPage, ...]
    trouble: WebTrouble | None
    """Why the web was not searched; None if it was, or did not have to be."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers a query: of a document, as the manifest confirms it, or of a page of the web."""

    id: str
    source: str
    """The source's name; "" of a page of the web."""
    document: str
    """Its id within the source; of a page of the web its final URL."""
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
    context: str = field(default="", repr=False)
    """``text`` with what stands before and after it, where it is short or its section was cut; "" where it is whole."""
    chunks: tuple[str, ...] = ()
    """The ids of what ``context`` is made of, in the document's order."""
    web: WebOrigin | None = None
    """Where it comes from the live web; None of a document."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found."""

    query: str
    hits: tuple[Hit, ...]
    seconds: float
    """From the call to the return, embedding included."""
    answerable: bool
    """Whether the best hits' confidence (``fusion.surest``) is over the measured "I do not know" threshold."""
    web: WebSearchReport | None = None
    """What was done on the web; None: it was not asked."""
    trouble: KnowledgeError | None = None
    """Why the documents could not be searched; then the web answers alone."""
