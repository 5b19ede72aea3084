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
    rows: list[StoredChunk] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.chunks or self.ends)


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
        self._embedded: asyncio.Queue[_Batch | None] = asyncio.Queue(2)
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
            group.create_task(self._embed())
            group.create_task(self._write())
        if self._loose:
            await self._store.maintain()

    async def _embed(self) -> None:
        batch = _Batch()
        while (prepared := await self._prepared.get()) is not None:
            for chunk in prepared.fresh:
                batch.chunks.append(chunk)
                if chunk.id not in prepared.before:
                    batch.new.append(chunk.id)
                if len(batch.chunks) >= self._stages.batch:
                    batch = await self._passed_on(batch)
            batch.ends.append(prepared)
            if self._prepared.empty():
                # Nothing waits: a small batch now is quicker than a full one later.
                batch = await self._passed_on(batch)
        if batch:
            await self._passed_on(batch)
        await self._embedded.put(None)

    async def _passed_on(self, batch: _Batch) -> _Batch:
        if batch.chunks:
            texts = [chunk.searchable for chunk in batch.chunks]
            vectors, terms = await asyncio.gather(
                self._embedder.embed_passages(texts), asyncio.to_thread(self._terms, texts)
            )
            await self._room.leave(len(texts))
            batch.rows = [StoredChunk(*row) for row in zip(batch.chunks, vectors, terms, strict=True)]
        await self._embedded.put(batch)
        return _Batch()

    def _terms(self, texts: Sequence[str]) -> list[str]:
        return [self._index_terms(text) for text in texts]

    async def _write(self) -> None:
        ended = False
        while not ended:
            batches = [await self._embedded.get()]
            while not self._embedded.empty():
                batches.append(self._embedded.get_nowait())
            ended = batches[-1] is None
            await self._store_and_flip([batch for batch in batches if batch is not None])

    async def _store_and_flip(self, batches: Sequence[_Batch]) -> None:
        rows = [row for batch in batches for row in batch.rows]
        ends = [prepared for batch in batches for prepared in batch.ends]
        if rows:
            await self._manifest.note_pending([id_ for batch in batches for id_ in batch.new])
            await self._store.write(rows)
        old = await self._manifest.flip(self._key, [prepared.taken for prepared in ends])
        for prepared in ends:
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
