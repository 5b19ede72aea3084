"""What a run works with, and within which limits."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from knowledge.interfaces import Chunk, DocumentContent, Embedder, ListedDocument, SourceKey, Store
from knowledge.sync.manifest.manifest import IndexManifest
from knowledge.sync.running.pipeline import IndexTerms, PipelineLimits
from knowledge.sync.running.shadow_index import ShadowIndex

ChunkDocument = Callable[[SourceKey, ListedDocument, DocumentContent], Awaitable[tuple[str, Sequence[Chunk]]]]
"""A document's bytes -> its title and its chunks, in order; raises ``ParseError``."""


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """Deadlines and widths of a run."""

    listing_s: float = 600.0
    """The gap between two batches of a listing."""
    document_s: float = 300.0
    """Reading one document; parsing and cutting it has as much again, the wait for its turn not included."""
    source_s: float = 86_400.0
    """One source, from its listing to its last chunk."""
    close_s: float = 10.0
    """For a source to let go of its connections."""
    documents: int = 4
    """Documents of a source that are read side by side."""
    cuts: int = 2
    """Documents of all sources that are parsed and cut side by side; of one source, one at a time."""
    read_bytes: int = 128_000_000
    """Read, or cut and not yet flipped, of all sources together; small documents are not counted
    (``budget.SMALL_BYTES``): they never wait for large ones."""
    silent: int = 8
    """Documents in a row that took too long, after which the source is taken to hang."""
    progress_s: float = 0.2
    """The least time between two reports of a source's progress."""
    stages: PipelineLimits = field(default_factory=PipelineLimits)


@dataclass(frozen=True, slots=True)
class SyncTools:
    """What turns a document into current chunks."""

    embedder: Embedder
    store: Store
    manifest: IndexManifest
    passages: ChunkDocument
    index_terms: IndexTerms
    limits: SyncLimits = field(default_factory=SyncLimits)
    beside: ShadowIndex | None = None
    """The index that answers while this one grows."""
    now: Callable[[], float] = time.time
    """Seconds since the epoch."""
    clock: Callable[[], float] = time.monotonic
