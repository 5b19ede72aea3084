"""Prepared documents -> embedded, written, flipped: three stages apart by bounded queues.

While a batch is embedded, the next documents are read and parsed and the previous batch is written, so that the
embedder is what a sync waits for. Batches run across documents; a document flips when its last chunk is acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from knowledge.interfaces import Chunk, Embedder, SourceKey, Store, StoredChunk
from knowledge.sync.records import Taken
from knowledge.sync.state import IndexManifest

IndexTerms = Callable[[str], str]
"""A chunk's searchable text -> its BM25 terms (``terms.index_terms``)."""


@dataclass(frozen=True, slots=True)
class Stages:
    """How much lies between the stages, in chunks."""

    batch: int = 128
    """Embedded at once."""
    waiting: int = 512
    """Prepared and not yet embedded, unless one document alone has more."""
    maintain: int = 10_000
    """Written before the store is asked to tidy up."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that was read, parsed and cut into chunks."""

    taken: Taken
    before: frozenset[str]
    """The ids of its chunks that are current now."""
    fresh: tuple[Chunk, ...] = field(repr=False)
    """Those of its chunks that have to be embedded and written."""
    replaces: bool
    """Whether an earlier version of it answered."""


@dataclass(slots=True)
class _Batch:
    """Chunks of several documents, and the documents that are whole once these chunks are written."""

    chunks: list[Chunk] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    ends: list[Prepared] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.chunks or self.ends)


_Embedding = tuple[_Batch, asyncio.Task[list[StoredChunk]]]


class Pipeline:
    """The stages of one source's sync; ``run`` them in a task of their own, ``put`` documents, then ``end``."""

    def __init__(
        self,
        key: SourceKey,
        *,
        embedder: Embedder,
        store: Store,
        manifest: IndexManifest,
        index_terms: IndexTerms,
        stages: Stages,
        on_taken: Callable[[Prepared], None],
    ) -> None:
        self._key = key
        self._embedder = embedder
        self._store = store
        self._manifest = manifest
        self._index_terms = index_terms
        self._stages = stages
        self._on_taken = on_taken
        self._room = _Room(stages.waiting)
        self._prepared: asyncio.Queue[Prepared | None] = asyncio.Queue()
        self._embedding: asyncio.Queue[_Embedding | None] = asyncio.Queue(2)
        # Two: the embedder never waits for the next batch to be made ready.
        self._flying = asyncio.Semaphore(2)
        self._loose = 0

    async def put(self, prepared: Prepared) -> None:
        """Hand over a document; waits while enough is waiting already."""
        await self._room.enter(len(prepared.fresh))
        self._prepared.put_nowait(prepared)

    def end(self) -> None:
        """Say that no document follows; ``run`` returns when all are flipped."""
        self._prepared.put_nowait(None)

    async def run(self) -> None:
        """Work until the end was said and everything before it is flipped.

        Raises:
            EmbedderError, StoreError, ManifestError: that stage failed; what was flipped stays, the rest is done again
                by the next sync. (In an ``ExceptionGroup``.)

        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._embed(group))
            group.create_task(self._write())
        if self._loose:
            await self._store.maintain()

    async def _embed(self, group: asyncio.TaskGroup) -> None:
        batch = _Batch()
        while (prepared := await self._prepared.get()) is not None:
            for chunk in prepared.fresh:
                batch.chunks.append(chunk)
                if chunk.id not in prepared.before:
                    batch.new.append(chunk.id)
                if len(batch.chunks) >= self._stages.batch:
                    batch = await self._passed_on(batch, group)
            batch.ends.append(prepared)
            if self._prepared.empty():
                # Nothing waits: a small batch now is quicker than a full one later.
                batch = await self._passed_on(batch, group)
        if batch:
            await self._passed_on(batch, group)
        await self._embedding.put(None)

    async def _passed_on(self, batch: _Batch, group: asyncio.TaskGroup) -> _Batch:
        await self._flying.acquire()
        await self._embedding.put((batch, group.create_task(self._rows(batch.chunks))))
        return _Batch()

    async def _rows(self, chunks: Sequence[Chunk]) -> list[StoredChunk]:
        try:
            if not chunks:
                return []
            texts = [chunk.searchable for chunk in chunks]
            vectors, terms = await asyncio.gather(
                self._embedder.embed_passages(texts), asyncio.to_thread(self._terms, texts)
            )
            await self._room.leave(len(texts))
            return [StoredChunk(*row) for row in zip(chunks, vectors, terms, strict=True)]
        finally:
            self._flying.release()

    def _terms(self, texts: Sequence[str]) -> list[str]:
        return [self._index_terms(text) for text in texts]

    async def _write(self) -> None:
        while (embedding := await self._embedding.get()) is not None:
            batch, rows = embedding
            await self._store_and_flip(batch, await rows)

    async def _store_and_flip(self, batch: _Batch, rows: Sequence[StoredChunk]) -> None:
        if rows:
            await self._manifest.note_pending(batch.new)
            await self._store.write(rows)
        old = await self._manifest.flip(self._key, [prepared.taken for prepared in batch.ends])
        for prepared in batch.ends:
            self._on_taken(prepared)
        await discard(self._store, self._manifest, old)
        self._loose += len(rows) + len(old)
        if self._loose >= self._stages.maintain:
            await self._store.maintain()
            self._loose = 0


async def discard(store: Store, manifest: IndexManifest, ids: Collection[str]) -> None:
    """Delete pending rows from the store, then forget them; stopped in between, the next sync does it again."""
    if ids:
        await store.delete(ids)
        await manifest.settle(ids)


class _Room:
    """Lets so many chunks wait; a document with more than all the room goes in alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._changed = asyncio.Condition()

    async def enter(self, chunks: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._used == 0 or self._used + chunks <= self._size)
            self._used += chunks

    async def leave(self, chunks: int) -> None:
        async with self._changed:
            self._used -= chunks
            self._changed.notify_all()
