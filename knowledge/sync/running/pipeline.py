"""Embed, write and switch the prepared documents of all sources, in stages with bounded queues.

While one batch is embedded, the next documents are parsed and the previous batch is written. So embedding is the
bottleneck. A batch has chunks of several documents and sources, in equal parts. A document becomes current when its
last chunk is written. A failure stops only the sources that it concerns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from knowledge.errors import EmbedderError, KnowledgeError
from knowledge.interfaces import SourceKey, Store, StoredChunk
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.running_backups import RunningBackups
from knowledge.sync.running.copies import VectorCopies
from knowledge.sync.running.flow import PreparedDocument, SourceFlow, WriteBatch, fill_batch
from knowledge.sync.running.workbench import Workbench
from knowledge.sync.signals import Signal

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """Limits of the queues between the stages."""

    batch: int = 128
    """Chunks that are embedded together."""
    waiting: int = 1024
    """Prepared chunks that are not in a batch, over all sources. One document alone may have more."""
    queued_bytes: int = 48_000_000
    """Prepared text that is not yet current, over all sources. A document that has begun may exceed it."""
    maintain: int = 10_000
    """Chunks that are written before the store runs its maintenance, while the next ones are written."""
    embedding: int = 2
    """Batches that are embedded at a time: two, so that one embedder never waits for the next one."""
    embed_s: float = 600.0
    """Time limit for one batch in the embedder, including the wait for its turn."""


class Pipeline:
    """The stages of one run.

    Run ``run`` in its own task, pass sources through ``open_flow``, then call ``end_input``.
    """

    def __init__(
        self,
        *,
        bench: Workbench,
        store: Store,
        manifest: IndexManifest,
        stages: PipelineLimits,
    ) -> None:
        self._bench = bench
        self._store = store
        self._manifest = manifest
        self._stages = stages
        self._copies = VectorCopies(store, manifest)
        self._changed = Signal()
        self._flows: list[SourceFlow] = []
        self._ended = False
        self._crash: BaseException | None = None
        self._embedding_slots = asyncio.Semaphore(stages.embedding)
        self._embedded: asyncio.Queue[tuple[WriteBatch, asyncio.Task[list[StoredChunk] | KnowledgeError]] | None] = (
            asyncio.Queue(stages.embedding)
        )
        self._changed_rows = 0

    @asynccontextmanager
    async def open_flow(
        self, key: SourceKey, on_current: Callable[[PreparedDocument], None]
    ) -> AsyncIterator[SourceFlow]:
        """Pass a source through for the length of a block. ``on_current`` gets each document that becomes current.

        After the block, no batch has chunks of the source.
        """
        if self._crash is not None:
            raise self._crash
        flow = SourceFlow(key, on_current, self._changed)
        self._flows.append(flow)
        try:
            yield flow
        finally:
            try:
                await flow.leave_pipeline()
            finally:
                self._flows.remove(flow)
                self._changed.wake_waiters()

    async def wait_for_room(self, flow: SourceFlow) -> None:
        """Wait until a source may prepare another document within its part of the limits.

        Raises:
            EmbedderError, StoreError, DatabaseError: an earlier document of this source has failed.

        """
        await self._changed.wait_until(lambda: flow.dead or self._has_room(flow))
        flow.raise_error()

    def end_input(self) -> None:
        """Accept no further sources. ``run`` returns when all documents are current."""
        self._ended = True
        self._changed.wake_waiters()

    async def run(self) -> None:
        """Work until ``end_input`` was called and all documents are current. Raises only for defects."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._embed_batches(group))
                group.create_task(self._write_batches(group))
        except BaseException as error:
            self._crash = error
            for flow in self._flows:
                flow.batches = 0
                flow.record_error(error)
            raise

    def _has_room(self, flow: SourceFlow) -> bool:
        part = len(self._flows)
        return flow.waiting * part < self._stages.waiting and flow.queued_bytes * part < self._stages.queued_bytes

    async def _embed_batches(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._embedding_slots.acquire()
            await self._changed.wait_until(lambda: self._ended or any(flow.ready for flow in self._flows))
            batch = fill_batch(self._flows, self._stages.batch)
            if not batch.flows:
                break
            # Rotate the sources, so that each gets its turn if a batch has no room for all.
            self._flows.append(self._flows.pop(0))
            self._changed.wake_waiters()
            await self._embedded.put((batch, group.create_task(self._embed_batch(batch))))
        await self._embedded.put(None)

    async def _embed_batch(self, batch: WriteBatch) -> list[StoredChunk] | KnowledgeError:
        try:
            async with asyncio.timeout(self._stages.embed_s):
                return await self._make_rows(batch)
        except TimeoutError:
            return EmbedderError(
                f"The embedder did not answer within {self._stages.embed_s:.0f} s. Check whether this machine is "
                "overloaded; the next sync continues from here."
            )
        except KnowledgeError as error:
            return error
        finally:
            self._embedding_slots.release()

    async def _make_rows(self, batch: WriteBatch) -> list[StoredChunk]:
        """Return the rows of a batch: vectors of copies are looked up, the others are embedded."""
        chunks = [chunk for flow, chunk in batch.chunks if not flow.dead]
        if not chunks:
            return []
        texts = [chunk.searchable_text for chunk in chunks]
        vectors, terms = await asyncio.gather(
            self._copies.get_vectors(texts, self._bench.embed_passages),
            self._bench.index_terms(texts),
        )
        return [StoredChunk(*row) for row in zip(chunks, vectors, terms, strict=True)]

    async def _write_batches(self, group: asyncio.TaskGroup) -> None:
        maintenance: asyncio.Task[bool] | None = None
        while (embedded := await self._embedded.get()) is not None:
            batch, task = embedded
            try:
                rows = await task
                if isinstance(rows, KnowledgeError):
                    raise rows
                await self._store_and_flip(batch, rows)
            except KnowledgeError as error:
                batch.fail_sources(error)
            finally:
                batch.release_flows()
                self._changed.wake_waiters()
            if self._changed_rows >= self._stages.maintain and (maintenance is None or maintenance.done()):
                # Beside the next batches, because it may take minutes.
                maintenance = group.create_task(self._maintain_store())
        if maintenance is not None:
            await maintenance
        if (maintenance is not None or self._changed_rows) and await self._maintain_store():
            # Again, because a store merges the parts of its indexes when nothing else is due.
            await self._maintain_store()

    async def _store_and_flip(self, batch: WriteBatch, rows: Sequence[StoredChunk]) -> None:
        dead = {flow.key.id for flow in batch.flows if flow.dead}
        rows = [row for row in rows if row.chunk.source not in dead]
        if rows:
            await self._manifest.add_pending_chunks([id_ for flow, id_ in batch.new if flow.key.id not in dead])
            await self._store.write(rows)
        old: list[str] = []
        for flow in batch.flows:
            ends = [(prepared, bytes_) for owner, prepared, bytes_ in batch.ends if owner is flow]
            if ends and flow.key.id not in dead:
                old += await self._manifest.switch_documents(flow.key, [prepared.document for prepared, _ in ends])
                for prepared, bytes_ in ends:
                    flow.mark_current(prepared, bytes_)
        await discard_rows(self._store, self._manifest, old)
        self._changed_rows += len(rows) + len(old)

    async def _maintain_store(self) -> bool:
        """Run the store's maintenance, and return whether it succeeded. A failure is logged and retried later."""
        self._changed_rows = 0
        try:
            await self._store.maintain()
        except KnowledgeError as error:  # also of the lease, without which the store is not called
            _log.warning("The store's maintenance failed. Searches may be slow until the next attempt: %s", error)
            return False
        return True


async def discard_rows(store: Store, manifest: IndexManifest, ids: Collection[str]) -> None:
    """Delete pending rows from the store, then from the manifest. If interrupted, the next sync repeats it.

    While a backup is being made, they stay, and the next sync deletes them.
    """
    if ids and not await RunningBackups(manifest.database).is_any_running():
        await store.delete(ids)
        await manifest.forget_pending_chunks(ids)
