"""One source's way through the pipeline, and what of several ways goes into one batch: bookkeeping without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from knowledge.interfaces import Chunk, SourceKey
from knowledge.sync.manifest.records import IndexedDocument
from knowledge.sync.running.read_budget import ByteLease
from knowledge.sync.signals import Signal

_OBJECT_BYTES = 600
"""What a chunk takes beside its text."""
_ENDS = 500
"""Documents that flip in one transaction."""


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document that was read, parsed and cut into chunks."""

    taken: IndexedDocument
    before: frozenset[str]
    """The ids of its chunks that are current now."""
    fresh: tuple[Chunk, ...] = field(repr=False)
    """Those of its chunks that have to be written."""
    replaces: bool
    """Whether an earlier version of it answered."""
    lease: ByteLease
    """Its part of the bytes that may be held at a time."""


@dataclass(slots=True, eq=False)
class _QueuedDocument:
    """A document in the queue: its first chunks may be on their way already."""

    prepared: PreparedDocument
    bytes_: int
    next: int = 0


class SourceFlow:
    """What one source has in the pipeline. Made by ``Pipeline.flow``; its source ends it by ``leave``."""

    def __init__(self, key: SourceKey, on_taken: Callable[[PreparedDocument], None], changed: Signal) -> None:
        self.key = key
        self.on_taken = on_taken
        self.error: BaseException | None = None
        self.dead = False
        """What is left of it is neither written nor flipped."""
        self.waiting = 0
        """Chunks that are not yet in a batch."""
        self.held_bytes = 0
        """Text of documents that are not yet flipped."""
        self.batches = 0
        """Batches under way that hold something of it."""
        self._changed = changed
        self._queue: deque[_QueuedDocument] = deque()

    def put(self, prepared: PreparedDocument) -> None:
        """Hand over a document; whoever does has waited for ``Pipeline.room``.

        Raises:
            EmbedderError, StoreError, ManifestError: an earlier document of this source has failed in there.

        """
        self.check()
        passing = _QueuedDocument(prepared, _count_bytes(prepared.taken.chunks))
        prepared.lease.set(passing.bytes_)
        self._queue.append(passing)
        self.waiting += len(prepared.fresh)
        self.held_bytes += passing.bytes_
        self._changed.fire()

    async def drained(self) -> None:
        """Return once everything that was put is flipped.

        Raises:
            EmbedderError, StoreError, ManifestError: a stage has failed; what was flipped stays.

        """
        await self._changed.until(lambda: self.error is not None or not (self._queue or self.batches))
        self.check()

    async def broken(self) -> None:
        """Return never; raise once a stage has failed, so that nobody goes on reading in vain."""
        await self._changed.until(lambda: self.error is not None)
        self.check()

    async def leave(self) -> None:
        """Drop what is not in a batch yet; return once nothing of it is under way, so that it may begin anew."""
        self.drop()
        await self._changed.until(lambda: not self.batches)

    def check(self) -> None:
        """Raise what a stage has failed with."""
        if self.error is not None:
            raise self.error

    def fail(self, error: BaseException) -> None:
        """Let the source know that a stage has failed, and take no more of it."""
        if self.error is None:
            self.error = error
        self.drop()

    def drop(self) -> None:
        """Take no more of it."""
        self.dead = True
        for passing in self._queue:
            passing.prepared.lease.set(0)
        self._queue.clear()
        self.waiting = self.held_bytes = 0
        self._changed.fire()

    @property
    def ready(self) -> bool:
        """Whether it has something for the next batch."""
        return bool(self._queue)

    def pour(self, batch: WriteBatch, most: int) -> None:
        """Put up to ``most`` chunks into a batch, and the documents that are whole with them."""
        left = most
        while self._queue and len(batch.ends) < _ENDS:
            passing = self._queue[0]
            fresh = passing.prepared.fresh
            piece = fresh[passing.next : passing.next + left]
            batch.add(self, piece, passing.prepared.before)
            passing.next += len(piece)
            self.waiting -= len(piece)
            left -= len(piece)
            if passing.next < len(fresh):
                return
            self._queue.popleft()
            batch.end(self, passing.prepared, passing.bytes_)

    def flipped(self, prepared: PreparedDocument, bytes_: int) -> None:
        """Note that a document answers."""
        if not self.dead:
            self.held_bytes -= bytes_
        prepared.lease.set(0)
        self.on_taken(prepared)


@dataclass(slots=True)
class WriteBatch:
    """Chunks of several documents, and the documents that are whole once these chunks are written."""

    chunks: list[tuple[SourceFlow, Chunk]] = field(default_factory=list)
    new: list[tuple[SourceFlow, str]] = field(default_factory=list)
    """Ids that the manifest does not list yet."""
    ends: list[tuple[SourceFlow, PreparedDocument, int]] = field(default_factory=list)
    flows: list[SourceFlow] = field(default_factory=list)

    def add(self, flow: SourceFlow, chunks: Sequence[Chunk], before: Collection[str]) -> None:
        """Add chunks of a document whose chunks ``before`` are current."""
        self._with(flow)
        self.chunks += [(flow, chunk) for chunk in chunks]
        self.new += [(flow, chunk.id) for chunk in chunks if chunk.id not in before]

    def end(self, flow: SourceFlow, prepared: PreparedDocument, bytes_: int) -> None:
        """Note that a document has no further chunks."""
        self._with(flow)
        self.ends.append((flow, prepared, bytes_))

    def fail(self, error: BaseException) -> None:
        """Fail every source that has something in it."""
        for flow in self.flows:
            flow.fail(error)

    def leave(self) -> None:
        """Note that nothing of it is under way any more, whether it was flipped or has failed."""
        for _, prepared, _ in self.ends:
            prepared.lease.set(0)
        for flow in self.flows:
            flow.batches -= 1

    def _with(self, flow: SourceFlow) -> None:
        if flow not in self.flows:
            self.flows.append(flow)
            flow.batches += 1


def fill_batch(flows: Sequence[SourceFlow], size: int) -> WriteBatch:
    """Take a batch of at most ``size`` chunks from those that have something, in equal parts.

    What one of them lacks of its part goes to the others.
    """
    batch = WriteBatch()
    ready = [flow for flow in flows if flow.ready]
    while ready and len(batch.chunks) < size and len(batch.ends) < _ENDS:
        part = max(1, (size - len(batch.chunks)) // len(ready))
        for flow in ready:
            flow.pour(batch, min(part, size - len(batch.chunks)))
        ready = [flow for flow in ready if flow.ready]
    return batch


def _count_bytes(chunks: Sequence[Chunk]) -> int:
    return sum(len(chunk.text) * (1 if chunk.text.isascii() else 2) + _OBJECT_BYTES for chunk in chunks)
