"""Where passages are stored and found: the interface of a store, and what the manifest says of its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from knowledge.interfaces.audiences import ANY_MEMBER, Viewers
from knowledge.interfaces.documents import Chunk
from knowledge.interfaces.embedding import Vector


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A row to write: the chunk, its vector and its BM25 terms (``terms.index_terms`` of ``chunk.searchable_text``)."""

    chunk: Chunk
    vector: Vector = field(repr=False)
    terms: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that a retriever found. ``bm25`` is 0.0 if only the vectors found it."""

    chunk: Chunk
    """Without audience, kind and date, which only the manifest knows: "", "" and None."""
    bm25: float
    cosine: float


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to search. Each part narrows."""

    sources: frozenset[str]
    """``SourceKey.id`` of each; with none, nothing is found."""
    viewers: Viewers = ANY_MEMBER
    """All who will see the answer. The manifest decides by them."""
    kinds: frozenset[str] = frozenset()
    """``Chunk.kind`` of each; empty for any."""
    after: datetime | None = None
    """Only versions of this moment or later; documents without a date are left out."""
    before: datetime | None = None
    """Only versions before this moment; documents without a date are left out."""
    audiences: frozenset[str] | None = None
    """``Chunk.audience`` of each class that a store may propose; None for any, and with none nothing is found."""
    principals: tuple[tuple[int, ...], ...] | None = None
    """For a ``NumberedStore``: a row must have a number of each tuple (``number_viewers``); None for any row."""

    refused_rows: frozenset[int] = frozenset()
    """``CurrentChunk.row`` of documents whose source does not say who may read them."""
    trusted_since: Mapping[str, float] = field(default_factory=dict)
    """By the names of sources that do not answer: of their documents, only those whose readers they named since."""

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to search."""
        nobody = self.principals is not None and not self.principals
        return not self.sources or (self.audiences is not None and not self.audiences) or nobody


class Store(Protocol):
    """Rows by id, with two retrievers: vectors and BM25. It proposes; the manifest decides.

    One store object serves one index (``index`` names a table or collection). Every method raises ``StoreError`` or a
    subclass, has a deadline of its own, and may be cancelled. The next search finds a written row.
    """

    async def open(self, index: str, dimensions: int) -> None:
        """Open the index; create it if it does not exist."""

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        """Insert or replace rows; return when every row is acknowledged, and raise if one is not."""

    async def delete(self, ids: Collection[str]) -> None:
        """Delete rows; unknown ids are ignored."""

    async def find_candidates(
        self,
        vector: Vector | None,
        terms: str,
        *,
        pool: int,
        scope: Scope,
    ) -> Sequence[Candidate]:
        """Return the ``pool`` best rows in ``scope`` of each retriever, in any order, with exact cosines.

        Without a vector, BM25 alone finds rows, and every cosine is 0.0.
        """

    async def check(self, *, heal: bool = False) -> None:
        """Return if the index is there and its files can be read; cheap unless there is a reason for doubt.

        With ``heal``, before a sync, build again what can be built from the rows. A store on a server ignores it.

        Raises:
            IndexLost: it is missing or damaged, so that only a new one helps (``drop_index``, then ``open``).

        """

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        """Return the rows with these ids, in any order, without unknown ids."""

    def list_ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all rows in batches, for repair."""

    async def count(self) -> int:
        """Count the rows."""

    async def list_indexes(self) -> Sequence[str]:
        """Return the names of Kvasir's indexes in the store."""

    async def drop_index(self, index: str) -> None:
        """Delete an index; an unknown one is ignored."""

    async def maintain(self) -> None:
        """Compact and build indexes, so that searches stay fast after many writes; not during a query."""

    async def scrub(self) -> None:
        """Remove deleted rows from the files of an embedded store, older versions included; takes long.

        The caller excludes other writers.
        """

    async def close(self) -> None:
        """Release everything; safe to call twice."""


@runtime_checkable
class NumberedStore(Protocol):
    """A store that can filter by ``Scope.principals``, at a cost that does not grow with the audience classes."""

    @property
    def is_numbered(self) -> bool:
        """Return whether nearly all rows have the numbers of their readers, so that the filter leaves few others."""


@dataclass(frozen=True, slots=True)
class CurrentChunk:
    """What the manifest says of a current chunk. A chunk that it does not list may not be shown."""

    source_name: str
    readers: frozenset[str]
    """As the manifest has them now; the row of a store may be older."""
    synced_at: datetime
    """When this version of the document was last seen in its source; aware, UTC."""
    row: int = 0
    """The number of the document."""
    place: int = 0
    """The chunk's order in its document, from 0."""
    kind: str = ""
    """As ``Chunk.kind``; the manifest's value decides."""
    modified_at: datetime | None = None
    """As ``Chunk.modified_at``; the manifest's value decides."""
    configured_readers: frozenset[str] | None = None
    """Readers by ``kvasir.toml``, among whom every viewer must be, too; None for everybody."""
    rights_at: float | None = None
    """When the source named the readers, in seconds since the epoch. None if it cannot say who may read."""
    weight: float = 1.0
    """Its score is multiplied by it, as configured for its source and document."""
    is_settled: bool = True
    """Whether the rows in the store have its readers; not while a sync rewrites them after the readers changed."""
    text_hash: str = ""
    """The hash of the text that was indexed; "" if an older Kvasir indexed it."""
