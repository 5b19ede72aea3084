"""Plain data that the manifest and a sync exchange. No I/O.

The sources of rows are ``SourceKey.id``, and their readers are in the form of ``encode_readers``. Times are seconds
since the epoch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from knowledge.errors import ErrorCode
from knowledge.interfaces import Chunk, ListedDocument, make_class_key

UNSETTLED = "\x1f"
"""Begins a document's link while its rows in the store may have other readers; the keys of their audience classes
follow (``make_class_key``). No real link begins with it."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class KnownDocument(NamedTuple):
    """A document in the manifest. It is a plain tuple, because a sync reads one for every document."""

    row: int
    document: str
    version: str
    sha256: str
    """The hash of the bytes whose chunks are current; "" if there are none, or if the store lost some."""
    title: str
    url: str | None
    readers: str
    read_at: float
    """When the bytes were read, in seconds since the epoch; 0.0 if never."""
    pending_deletion: bool
    """Whether the listing lacks it, and it waits for approval of its deletion."""
    reason: str | None
    """Why the last attempt to index it failed, or None."""
    attempts: int
    retry_at: float
    """When a failed document is tried again without a change, in seconds since the epoch."""
    chunks: int
    """How many of its chunks are current."""
    kind: str = ""
    """Its format, as ``Chunk.kind``; "" if an older Kvasir indexed it."""
    modified_at: float | None = None
    """When the current version was made, in seconds since the epoch; None if the source does not say."""
    reason_code: str = ""
    failed_bytes: str = ""
    """Names the bytes that caused the last failure (``ParseError.bytes_key``); "" if none did."""

    @property
    def answers(self) -> bool:
        """Whether any version of it was ever indexed."""
        return self.read_at > 0.0


class CurrentRow(NamedTuple):
    """A current chunk in the manifest."""

    id: str
    source: str
    document: str
    place: int
    """Its order in the document, from 0."""
    readers: str
    confirmed_at: float
    """When this version was last seen in its source, in seconds since the epoch."""
    row: int
    kind: str
    modified_at: float | None
    rights_at: float
    """When the source named the readers, in seconds since the epoch; 0.0 if unknown."""
    is_settled: bool
    """Whether the rows in the store have these readers."""
    readers_key: str
    """The configuration that the readers follow (``SourceSpec.readers_key``); "" if unknown."""
    text_hash: str
    """As ``ChunkRow.text_hash``."""


class ListedTitle(NamedTuple):
    """A document with its title."""

    document: str
    title: str
    changed_at: float
    """When it changed, or was read if its source does not say that."""


class NamedDocument(NamedTuple):
    """A document, its title and its readers as of the last sync (``encode_readers``)."""

    document: str
    title: str
    readers: str


class AudienceRow(NamedTuple):
    """Documents of a source with the same readers."""

    source: str
    readers: str
    url: str
    """Their link if it begins with ``UNSETTLED``, else ""."""

    @property
    def class_keys(self) -> frozenset[str]:
        """Return the keys of the audience classes that their rows in the store may have."""
        return frozenset({make_class_key(decode_readers(self.readers)), *self.url[1:].split()})


@dataclass(frozen=True, slots=True)
class AudienceList:
    """All audiences of an index at a moment."""

    rows: frozenset[AudienceRow] = frozenset()
    newest: int = 0
    """The id of the last one that was added."""
    removed: frozenset[tuple[int, int]] = frozenset()
    """How many audiences were removed until then from each source, by its row."""


class DocumentRights(NamedTuple):
    """Who may read a document, as the manifest has it."""

    row: int
    source: str
    document: str
    readers: str
    rights_at: float


class ChunkRow(NamedTuple):
    """What the store's row of a current chunk should contain, according to the manifest."""

    id: str
    source: str
    document: str
    readers: str
    text_hash: str
    """The hash of the text; "" if an older Kvasir indexed it."""
    kind: str
    modified_at: float | None


class LastRepair(NamedTuple):
    """The last comparison of store and manifest."""

    at: float
    differences: int
    """Chunks that were on one side only, or different."""
    repairs: int
    """Those repaired at once. The documents of the others were read again."""


class RefusedPassages(NamedTuple):
    """Passages that the store proposed to people who may not read them, since the last comparison."""

    at: float
    """When it last proposed one, in seconds since the epoch."""
    passages: int


class Neighbours(NamedTuple):
    """The current chunks before and after one in its document, in the document's order."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexIdentity:
    """What an index is made with. Another identity is another index."""

    store: str
    embedder: str
    chunker: str
    terms: str
    schema: str = ""
    """The fields of the store's rows besides vector and terms."""

    @property
    def name(self) -> str:
        """Return the index's name, which is valid for a table and for a collection."""
        text = f"{self.store}\x1f{self.embedder}\x1f{self.chunker}\x1f{self.terms}\x1f{self.schema}"
        return f"kvasir_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class IndexGrowth:
    """The progress of an index that grows next to the one that answers."""

    documents: int
    of: int
    """Documents that it will have. For a source that is not synced yet, those of the old index count."""
    eta_s: float | None
    """Seconds until it is complete, at the pace of the last documents; None while none are indexed."""
    dense: bool
    """Whether vectors of the old index are searched. If not, its words alone, because the embedder changed."""

    @property
    def share(self) -> float:
        """Return how much of it is complete, from 0 to 1."""
        return self.documents / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class IndexRebuild:
    """The progress of an index whose rows the store lost, and which the next syncs fill again."""

    documents: int
    of: int

    @property
    def share(self) -> float:
        """Return how much of it is complete, from 0 to 1, and less than 1 until it is."""
        return min(self.documents / self.of, 0.99)


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A document whose chunks are in the store, and which the manifest can switch to."""

    entry: ListedDocument
    version: str
    sha256: str
    title: str
    read_at: float
    chunks: tuple[Chunk, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnchangedDocument:
    """A document that was read again and has not changed."""

    row: int
    version: str
    read_at: float


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """A document that could not be indexed."""

    entry: ListedDocument
    reason: str
    attempts: int
    retry_at: float
    code: ErrorCode = ErrorCode.OTHER
    bytes_key: str = ""
    """As ``KnownDocument.failed_bytes``."""


@dataclass(frozen=True, slots=True)
class QuarantinedDocument:
    """A document in quarantine, with what a person may see."""

    document: str
    reason: str
    retry_at: float | None = None
    """When it is tried again without a change, in seconds since the epoch; None: at the next sync."""
    public: bool = True
    """Whether everybody may read it. Others are not named where everybody can look."""
    code: ErrorCode = ErrorCode.OTHER


@dataclass(frozen=True, slots=True)
class PendingDeletion:
    """A document that the listing lacks. It answers until a person approves its deletion."""

    document: str
    title: str
    since: float | None
    """When it was first missing, in seconds since the epoch; None if an older Kvasir noticed it."""
    public: bool = True


class SourceOrigin(NamedTuple):
    """With what the last complete sync of a source was made; "" where that is unknown."""

    place: str = ""
    """The disks with its documents (``interfaces.find_place``)."""
    configuration: str = ""
    """``SourceSpec.configuration_key``."""

    def is_elsewhere(self, place: str) -> bool:
        """Return whether a place is another one, so that documents which are missing there are not gone."""
        return "" not in {place, self.place} and place != self.place


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """Figures about one source."""

    documents: int = 0
    """Documents that were indexed, also empty ones; not those that never could be."""
    chunks: int = 0
    failed: int = 0
    pending_deletions: int = 0
    listed_at: float | None = None
    """Start of the last complete listing that was synced, in seconds since the epoch."""
    error: str | None = None
    """Why the last sync of this source stopped, or None."""
    error_code: ErrorCode = ErrorCode.OTHER
    readers_key: str = ""


class DocumentHeading(NamedTuple):
    """A heading of a current document, and the chunk that begins there."""

    document: str
    title: str
    heading: str
    chunk: str
    source: str = ""


@lru_cache(maxsize=8192)
def encode_readers(readers: frozenset[str]) -> str:
    """Return an audience as the manifest stores it."""
    return json.dumps(sorted(readers), ensure_ascii=False)


@lru_cache(maxsize=8192)
def decode_readers(text: str) -> frozenset[str]:
    """Return the audience that ``encode_readers`` encoded."""
    return frozenset(json.loads(text))


def mark_unsettled(url: str | None, *readers: str) -> str:
    """Return the link of a document while its rows have the readers of ``url``, or some of ``readers``."""
    before = (url or "")[1:].split() if is_unsettled(url) else ()
    return UNSETTLED + " ".join(sorted({*before, *(make_class_key(decode_readers(one)) for one in readers)}))


def is_unsettled(url: str | None) -> bool:
    """Return whether a document's link says that its rows in the store may have other readers."""
    return url is not None and url.startswith(UNSETTLED)


def is_storable(text: str) -> bool:
    """Return whether every database can store a text: it has no NUL and no half of a surrogate pair."""
    return "\0" not in text and (text.isascii() or _SURROGATE.search(text) is None)


def make_approval_mark(documents: Iterable[str]) -> str:
    """Return a mark of exactly these documents, so that a person approves only what they saw."""
    return hashlib.sha256("\0".join(sorted(documents)).encode()).hexdigest()[:16]


def make_memory_key(namespace: str, source: str) -> str:
    """Return the name under which a source's memory is stored; an older Kvasir had no namespaces."""
    return f"{namespace}\x1e{source}" if namespace else source


def hash_text(searchable: str) -> str:
    """Return a hash that identifies copies: chunks with the same hash have the same vector and terms."""
    return hashlib.sha256(searchable.encode()).hexdigest()


def is_intact(chunk: Chunk, text_hash: str) -> bool:
    """Return whether a chunk of a store has the text of this hash; an older Kvasir stored no hashes ("")."""
    return text_hash in {"", hash_text(chunk.searchable_text)}
