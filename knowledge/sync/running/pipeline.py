"""Prepared documents of all sources -> embedded, written, flipped: stages apart by bounded queues.

While a batch is embedded, the next documents are read and parsed and the previous batch is written, so that the
embedder is what a run waits for. Batches run across documents and sources, each source with an equal part; a document
flips when its last chunk is acknowledged. What fails in here fails the sources that it concerns, and no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from knowledge.errors import EmbedderError, KnowledgeError, StoreError
from knowledge.interfaces import Embedder, SourceKey, Store, StoredChunk, Vector
from knowledge.sync.manifest.manifest import IndexManifest
from knowledge.sync.running.copies import VectorCopies
from knowledge.sync.running.flow import PreparedDocument, SourceFlow, WriteBatch, fill_batch
from knowledge.sync.signals import Signal

_log = logging.getLogger(__name__)

IndexTerms = Callable[[str], str]
"""A chunk's searchable text -> its BM25 terms (``terms.index_terms``)."""


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """How much lies between the stages."""

    batch: int = 128
    """Chunks embedded at once."""
    waiting: int = 1024
    """Chunks prepared and not yet in a batch, of all sources together, unless one document alone has more."""
    held_bytes: int = 48_000_000
    """Text prepared and not yet flipped, of all sources together, but a document that is begun is ended."""
    maintain: int = 10_000
    """Chunks written before the store is asked to tidy up."""
    embed_s: float = 600.0
    """One batch in the embedder, the wait for its turn included."""


class Pipeline:
    """The stages of one run; ``run`` them in a task of their own, let sources ``flow`` through, then ``end``."""

    def __init__(
        self,
        *,
        embedder: Embedder,
        store: Store,
        manifest: IndexManifest,
        index_terms: IndexTerms,
        stages: PipelineLimits,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._manifest = manifest
        self._index_terms = index_terms
        self._stages = stages
        self._copies = VectorCopies(store, manifest)
        self._changed = Signal()
        self._flows: list[SourceFlow] = []
        self._ended = False
        self._crash: BaseException | None = None
        # Two are embedded at a time, so that the embedder never waits for the next one to be made ready.
        self._flying = asyncio.Semaphore(2)
        self._embedded: asyncio.Queue[tuple[WriteBatch, asyncio.Task[list[StoredChunk] | KnowledgeError]] | None] = (
            asyncio.Queue(2)
        )
        self._loose = 0

    @asynccontextmanager
    async def flow(self, key: SourceKey, on_taken: Callable[[PreparedDocument], None]) -> AsyncIterator[SourceFlow]:
        """Let a source through; ``on_taken`` is told of each document that answers.

        However the block ends, nothing of the source is under way after it.
        """
        if self._crash is not None:
            raise self._crash
        flow = SourceFlow(key, on_taken, self._changed)
        self._flows.append(flow)
        try:
            yield flow
        finally:
            try:
                await flow.leave()
            finally:
                self._flows.remove(flow)
                self._changed.fire()

    async def room(self, flow: SourceFlow) -> None:
        """Wait until a source may prepare another document: its part of what may wait is not used up.

        Raises:
            EmbedderError, StoreError, ManifestError: an earlier document of this source has failed.

        """
        await self._changed.until(lambda: flow.dead or self._has_room(flow))
        flow.check()

    def end(self) -> None:
        """Say that no source follows; ``run`` returns when everything is flipped."""
        self._ended = True
        self._changed.fire()

    async def run(self) -> None:
        """Work until the end was said and everything before it is flipped; only a defect is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._embed(group))
                group.create_task(self._write())
        except BaseException as error:
            self._crash = error
            for flow in self._flows:
                flow.batches = 0
                flow.fail(error)
            raise

    def _has_room(self, flow: SourceFlow) -> bool:
        part = len(self._flows)
        return flow.waiting * part < self._stages.waiting and flow.held_bytes * part < self._stages.held_bytes

    async def _embed(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._flying.acquire()
            await self._changed.until(lambda: self._ended or any(flow.ready for flow in self._flows))
            batch = fill_batch(self._flows, self._stages.batch)
            if not batch.flows:
                break
            # The source that was first is last next time, where not all find a place.
            self._flows.append(self._flows.pop(0))
            self._changed.fire()
            await self._embedded.put((batch, group.create_task(self._rows(batch))))
        await self._embedded.put(None)

    async def _rows(self, batch: WriteBatch) -> list[StoredChunk] | KnowledgeError:
        try:
            async with asyncio.timeout(self._stages.embed_s):
                return await self._made(batch)
        except TimeoutError:
            return EmbedderError(
                f"The embedder did not answer within {self._stages.embed_s:.0f} s. Look whether this machine is "
                "overloaded; the next sync goes on from here."
            )
        except KnowledgeError as error:
            return error
        finally:
            self._flying.release()

    async def _made(self, batch: WriteBatch) -> list[StoredChunk]:
        """Return the rows of a batch: its vectors are looked up where there are copies, and embedded elsewhere."""
        chunks = [chunk for flow, chunk in batch.chunks if not flow.dead]
        if not chunks:
            return []
        texts = [chunk.searchable_text for chunk in chunks]
        vectors, terms = await asyncio.gather(self._vectors(texts), asyncio.to_thread(self._terms, texts))
        return [StoredChunk(*row) for row in zip(chunks, vectors, terms, strict=True)]

    async def _vectors(self, texts: Sequence[str]) -> list[Vector]:
        return await self._copies.vectors(texts, self._embedder.embed_passages)

    def _terms(self, texts: Sequence[str]) -> list[str]:
        return [self._index_terms(text) for text in texts]

    async def _write(self) -> None:
        while (embedded := await self._embedded.get()) is not None:
            batch, task = embedded
            try:
                rows = await task
                if isinstance(rows, KnowledgeError):
                    raise rows
                await self._store_and_flip(batch, rows)
            except KnowledgeError as error:
                batch.fail(error)
            finally:
                batch.leave()
                self._changed.fire()
        await self._tidy(least=1)

    async def _store_and_flip(self, batch: WriteBatch, rows: Sequence[StoredChunk]) -> None:
        dead = {flow.key.id for flow in batch.flows if flow.dead}
        rows = [row for row in rows if row.chunk.source not in dead]
        if rows:
            await self._manifest.add_pending_chunks([id_ for flow, id_ in batch.new if flow.key.id not in dead])
            await self._store.write(rows)
        old: list[str] = []
        for flow in batch.flows:
            ends = [(prepared, bytes_) for owner, prepared, bytes_ in batch.ends if owner is flow]
            if flow.key.id not in dead:
                old += await self._manifest.switch_documents(flow.key, [prepared.taken for prepared, _ in ends])
                for prepared, bytes_ in ends:
                    flow.flipped(prepared, bytes_)
        await discard_rows(self._store, self._manifest, old)
        self._loose += len(rows) + len(old)
        await self._tidy(least=self._stages.maintain)

    async def _tidy(self, *, least: int) -> None:
        """Let the store tidy up once enough has changed; what it cannot do now, it does another time."""
        if self._loose < least:
            return
        self._loose = 0
        try:
            await self._store.maintain()
        except StoreError as error:
            _log.warning("The store could not be tidied up, and searches may be slow until it is: %s", error)


async def discard_rows(store: Store, manifest: IndexManifest, ids: Collection[str]) -> None:
    """Delete pending rows from the store, then forget them; stopped in between, the next sync does it again."""
    if ids:
        await store.delete(ids)
        await manifest.forget_pending_chunks(ids)
