"""Queue prepared documents of each source, and fill batches from several sources, without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from knowledge.interfaces import Chunk, SourceKey
from knowledge.sync.manifest.records import IndexedDocument
from knowledge.sync.running.read_budget import ByteLease
from knowledge.sync.signals import Signal

_OBJECT_BYTES = 600
"""Memory of a chunk without its text."""
_ENDS = 500
"""Documents that one transaction switches."""


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document that was read, parsed and split into chunks."""

    document: IndexedDocument
    before: frozenset[str]
    """The ids of its current chunks."""
    fresh: tuple[Chunk, ...] = field(repr=False)
    """Its chunks that must be written."""
    replaces: bool
    """Whether an earlier version of it is searchable."""
    lease: ByteLease


@dataclass(slots=True, eq=False)
class _QueuedDocument:
    """A document in the queue. Its first chunks may already be in a batch."""

    document: PreparedDocument
    bytes_: int
    next: int = 0


class SourceFlow:
    """The documents of one source in the pipeline.

    ``Pipeline.open_flow`` makes it, and ``leave_pipeline`` ends it.
    """

    def __init__(self, key: SourceKey, on_current: Callable[[PreparedDocument], None], changed: Signal) -> None:
        self.key = key
        self.on_current = on_current
        self.error: BaseException | None = None
        self.dead = False
        """Whether its remaining chunks are neither written nor made current."""
        self.waiting = 0
        """Chunks that are not yet in a batch."""
        self.queued_bytes = 0
        """Text of documents that are not yet current."""
        self.batches = 0
        """Batches under way with chunks of this source."""
        self._changed = changed
        self._queue: deque[_QueuedDocument] = deque()

    def add_document(self, prepared: PreparedDocument) -> None:
        """Add a document to the queue. Wait for ``Pipeline.wait_for_room`` first.

        Raises:
            EmbedderError, StoreError, DatabaseError: an earlier document of this source has failed in there.

        """
        self.raise_error()
        passing = _QueuedDocument(prepared, _count_bytes(prepared.document.chunks))
        prepared.lease.set_size(passing.bytes_)
        self._queue.append(passing)
        self.waiting += len(prepared.fresh)
        self.queued_bytes += passing.bytes_
        self._changed.wake_waiters()

    async def wait_until_drained(self) -> None:
        """Wait until every queued document is current.

        Raises:
            EmbedderError, StoreError, DatabaseError: a stage has failed. Documents that are current stay.

        """
        await self._changed.wait_until(lambda: self.error is not None or not (self._queue or self.batches))
        self.raise_error()

    async def wait_for_failure(self) -> None:
        """Raise when a stage has failed, so that the source stops reading. Never returns."""
        await self._changed.wait_until(lambda: self.error is not None)
        self.raise_error()

    async def leave_pipeline(self) -> None:
        """Drop chunks that are not in a batch, and wait until no batch has chunks of this source."""
        self.drop_documents()
        await self._changed.wait_until(lambda: not self.batches)

    def raise_error(self) -> None:
        """Raise the error of a failed stage."""
        if self.error is not None:
            raise self.error

    def record_error(self, error: BaseException) -> None:
        """Record a stage's error, and drop the rest of this source."""
        if self.error is None:
            self.error = error
        self.drop_documents()

    def drop_documents(self) -> None:
        """Drop the queued documents, and accept no more results."""
        self.dead = True
        for passing in self._queue:
            passing.document.lease.set_size(0)
        self._queue.clear()
        self.waiting = self.queued_bytes = 0
        self._changed.wake_waiters()

    @property
    def ready(self) -> bool:
        """Return whether the next batch can take chunks from it."""
        return bool(self._queue)

    def fill_batch(self, batch: WriteBatch, most: int) -> None:
        """Move up to ``most`` chunks into a batch, with the documents that they complete."""
        left = most
        while self._queue and len(batch.ends) < _ENDS:
            passing = self._queue[0]
            fresh = passing.document.fresh
            piece = fresh[passing.next : passing.next + left]
            batch.add_chunks(self, piece, passing.document.before)
            passing.next += len(piece)
            self.waiting -= len(piece)
            left -= len(piece)
            if passing.next < len(fresh):
                return
            self._queue.popleft()
            batch.add_end(self, passing.document, passing.bytes_)

    def mark_current(self, prepared: PreparedDocument, bytes_: int) -> None:
        """Count a document that is now current."""
        if not self.dead:
            self.queued_bytes -= bytes_
        prepared.lease.set_size(0)
        self.on_current(prepared)


@dataclass(slots=True)
class WriteBatch:
    """Chunks of several documents, and the documents that they complete."""

    chunks: list[tuple[SourceFlow, Chunk]] = field(default_factory=list)
    new: list[tuple[SourceFlow, str]] = field(default_factory=list)
    """Ids that the manifest does not list yet."""
    ends: list[tuple[SourceFlow, PreparedDocument, int]] = field(default_factory=list)
    flows: list[SourceFlow] = field(default_factory=list)

    def add_chunks(self, flow: SourceFlow, chunks: Sequence[Chunk], before: Collection[str]) -> None:
        """Add chunks of a document whose current chunks are ``before``."""
        self._include_flow(flow)
        self.chunks += [(flow, chunk) for chunk in chunks]
        self.new += [(flow, chunk.id) for chunk in chunks if chunk.id not in before]

    def add_end(self, flow: SourceFlow, prepared: PreparedDocument, bytes_: int) -> None:
        """Add a document that has no further chunks."""
        self._include_flow(flow)
        self.ends.append((flow, prepared, bytes_))

    def fail_sources(self, error: BaseException) -> None:
        """Fail every source that has chunks in this batch."""
        for flow in self.flows:
            flow.record_error(error)

    def release_flows(self) -> None:
        """Release the batch after it was written or failed."""
        for _, prepared, _ in self.ends:
            prepared.lease.set_size(0)
        for flow in self.flows:
            flow.batches -= 1

    def _include_flow(self, flow: SourceFlow) -> None:
        if flow not in self.flows:
            self.flows.append(flow)
            flow.batches += 1


def fill_batch(flows: Sequence[SourceFlow], size: int) -> WriteBatch:
    """Fill a batch of at most ``size`` chunks from the ready sources, in equal parts.

    A part that one source does not use goes to the others.
    """
    batch = WriteBatch()
    ready = [flow for flow in flows if flow.ready]
    while ready and len(batch.chunks) < size and len(batch.ends) < _ENDS:
        part = max(1, (size - len(batch.chunks)) // len(ready))
        for flow in ready:
            flow.fill_batch(batch, min(part, size - len(batch.chunks)))
        ready = [flow for flow in ready if flow.ready]
    return batch


def _count_bytes(chunks: Sequence[Chunk]) -> int:
    return sum(len(chunk.text) * (1 if chunk.text.isascii() else 2) + _OBJECT_BYTES for chunk in chunks)
