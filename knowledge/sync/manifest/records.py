"""What the manifest and the runner hand each other: plain data, no I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from knowledge.interfaces import EVERYONE, Chunk, ListedDocument

UNSETTLED = " "
"""In place of a document's link, which it never equals: its rows are yet to be written with the readers it has."""


_SURROGATE = re.compile("[\ud800-\udfff]")


class KnownDocument(NamedTuple):
    """A document as the manifest has it; a plain tuple, because a sync reads one for every document."""

    row: int
    document: str
    version: str
    sha256: str
    """Of the bytes whose chunks answer now; "" when none ever did, or when the store lost some of them."""
    title: str
    url: str | None
    readers: str
    """As ``encode_readers`` writes them."""
    read_at: float
    """When the bytes were read, seconds since the epoch; 0.0 when they never were."""
    pending_deletion: bool
    """Gone from the listing, kept until somebody agrees."""
    reason: str | None
    """Why the last attempt to take it in failed, or None."""
    attempts: int
    """Failed attempts in a row."""
    retry_at: float
    """When a failed document is tried again although nothing changed, seconds since the epoch."""
    chunks: int
    """How many of its chunks are current."""
    kind: str = ""
    """Its format, as ``Chunk.kind``; "" when it was taken in before that was kept."""
    modified_at: float | None = None
    """When the version that answers was made, seconds since the epoch; None when the source does not say."""

    @property
    def answers(self) -> bool:
        """Whether some version of it was ever taken in."""
        return self.read_at > 0.0


class CurrentRow(NamedTuple):
    """What the manifest knows of one current chunk."""

    id: str
    source: str
    """``SourceKey.id``."""
    document: str
    place: int
    """Its order in the document, from 0."""
    readers: str
    confirmed_at: float
    """When this version was last seen in its source, seconds since the epoch."""
    row: int
    """Its document's row: two chunks of one document have the same."""
    kind: str
    modified_at: float | None


class ChunkRow(NamedTuple):
    """What a current chunk's row in the store has to say, as the manifest has it."""

    id: str
    source: str
    """``SourceKey.id``."""
    document: str
    readers: str
    text_hash: str
    """"" where an older Kvasir took it in."""
    kind: str
    modified_at: float | None


class LastRepair(NamedTuple):
    """The last time that store and manifest were compared."""

    at: float
    """Seconds since the epoch."""
    differed: int
    """Chunks that were on one side only, or were not the same on both."""
    mended: int
    """Of those, the ones that were mended at once; the documents of the others were read again."""


class Neighbours(NamedTuple):
    """The current chunks around one in its document, in the document's order."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexIdentity:
    """What an index was made with; another identity is another index."""

    store: str
    embedder: str
    chunker: str
    terms: str
    schema: str = ""
    """Of the store's rows: what a row holds beside vector and terms."""

    @property
    def name(self) -> str:
        """Return the index's name, good for a table and for a collection."""
        text = f"{self.store}\x1f{self.embedder}\x1f{self.chunker}\x1f{self.terms}\x1f{self.schema}"
        return f"kvasir_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class IndexGrowth:
    """How far an index is that grows beside the one that answers."""

    documents: int
    """Taken into it so far."""
    of: int
    """Documents that it will have, as far as is known: those of the old index where a source is not worked off yet."""
    eta_s: float | None
    """Seconds to the end at the pace of the last documents; None while none come in."""
    dense: bool
    """Whether the old index is searched with both legs; if not, by its words alone, because the embedder changed."""

    @property
    def share(self) -> float:
        """Return how much of it is there, 0 to 1."""
        return self.documents / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A document whose chunks the store has acknowledged: what the manifest flips to."""

    listed: ListedDocument
    version: str
    sha256: str
    title: str
    read_at: float
    chunks: tuple[Chunk, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnchangedDocument:
    """A document that was read again and had not changed."""

    row: int
    version: str
    read_at: float


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """A document that could not be taken in."""

    listed: ListedDocument
    reason: str
    attempts: int
    retry_at: float


@dataclass(frozen=True, slots=True)
class QuarantinedDocument:
    """A document in quarantine as a person is told of it."""

    document: str
    reason: str
    retry_at: float | None = None
    """When it is tried again although nothing changed, seconds since the epoch; None: at the next sync."""
    public: bool = True
    """Whether everybody may read it; of any other, nothing is told where everybody looks."""


@dataclass(frozen=True, slots=True)
class PendingDeletion:
    """A document that a listing which is not believed lacks; it answers until a person agrees that it is gone."""

    document: str
    title: str
    since: float | None
    """When it was first missing, seconds since the epoch; None where an older Kvasir held it."""
    public: bool = True
    """As ``Failure.public``."""


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """What the manifest holds of one source."""

    documents: int = 0
    """With chunks or found empty; those that never could be taken in are not among them."""
    chunks: int = 0
    failed: int = 0
    pending_deletions: int = 0
    listed_at: float | None = None
    """Start of the last complete listing that was worked off, seconds since the epoch."""
    error: str | None = None
    """Why the last sync of this source stopped, or None."""


class DocumentHeading(NamedTuple):
    """A place in a current document, and the chunk that begins there."""

    document: str
    title: str
    heading: str
    chunk: str
    source: str = ""
    """The source's ``SourceKey.id``."""


@lru_cache(maxsize=1024)
def encode_readers(readers: frozenset[str]) -> str:
    """Write an audience as the manifest keeps it."""
    return json.dumps(sorted(readers), ensure_ascii=False)


@lru_cache(maxsize=1024)
def decode_readers(text: str) -> frozenset[str]:
    """Read an audience as ``encode_readers`` wrote it."""
    return frozenset(json.loads(text))


def is_storable(text: str) -> bool:
    """Tell whether every database takes a text: it holds no NUL and no half of a surrogate pair."""
    return "\0" not in text and (text.isascii() or _SURROGATE.search(text) is None)


def make_approval_mark(documents: Iterable[str]) -> str:
    """Return what stands for exactly these held documents, so that a person approves what was shown and no more."""
    return hashlib.sha256("\0".join(sorted(documents)).encode()).hexdigest()[:16]


def hash_text(searchable: str) -> str:
    """Return what tells copies: chunks whose searchable texts have the same hash have the same vector and terms."""
    return hashlib.sha256(searchable.encode()).hexdigest()


def intersect_readers(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Return the readers whom both audiences admit."""
    if one >= EVERYONE:
        return other
    return one if other >= EVERYONE else one & other
