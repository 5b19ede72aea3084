"""Shared by the benchmarks of a sync: a store and an embedder that cost nothing, and the real use of memory."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from knowledge.chunking import chunker
from knowledge.document_chunking import make_chunking
from knowledge.interfaces import Candidate, Embedder, Matrix, Scope, Source, SourceKey, StoredChunk, Vector
from knowledge.parsing import Parser
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.sync.coordinator import SyncCoordinator
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from knowledge.sync.report import SourceReport, SyncReport
from knowledge.sync.running.run import open_run
from knowledge.sync.running.tools import SyncTools
from knowledge.sync.running.workbench import ChunkDocument, LocalWorkbench


class ArithmeticEmbedder:
    """An embedder with vectors by arithmetic, at no cost."""

    identity, dimensions = "arithmetic", 8
    trouble = ""

    async def close(self) -> None:
        pass

    async def embed_query(self, text: str) -> Vector:
        vector: Vector = (await self.embed_passages([text]))[0]
        return vector

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        digests = [list(hashlib.sha256(text.encode()).digest()[: self.dimensions]) for text in texts]
        matrix: Matrix = np.array(digests, np.float32) / 1000
        return matrix

    def count_tokens(self, text: str) -> int:
        return len(text) // 4


@contextlib.asynccontextmanager
async def open_sync_tools(home: Path, embedder: Embedder, passages: ChunkDocument) -> AsyncIterator[SyncTools]:
    """Open what a sync needs in ``home``."""
    manifest = await open_manifest(f"sqlite:///{home / 'kvasir.db'}")
    store = LanceDBStore(home / "lancedb")
    try:
        index = await manifest.add_index(IndexIdentity("lancedb", embedder.identity, str(chunker.VERSION), "1"))
        await store.open(index.name, embedder.dimensions)
        yield SyncTools(LocalWorkbench(embedder, passages), store, manifest.open_index(index))
    finally:
        await store.close()
        await manifest.close()


class NoMemory:
    """``Memory`` that stores nothing, which is enough for a folder."""

    async def load(self) -> bytes | None:
        return None

    async def save(self, data: bytes) -> None: ...


def no_memory(_key: SourceKey) -> NoMemory:
    return NoMemory()


async def sync_folder(kit: SyncTools, folder: Path) -> SourceReport:
    """Sync one folder."""
    source = registry.build_source(SourceSpec("bench", "folder", {"path": str(folder)}, Path("/")), folder, no_memory)
    return (await sync_sources(kit, [source])).sources["bench"]


async def sync_sources(kit: SyncTools, sources: Sequence[Source]) -> SyncReport:
    """Sync some sources."""
    return await SyncCoordinator(lambda: open_run(kit, [one.key.id for one in sources])).refresh(sources, None)


class DiscardingStore:
    """``Store`` that stores nothing, so that only the sync is measured."""

    kind = "sink"

    def __init__(self) -> None:
        self._rows = 0

    async def open(self, index: str, dimensions: int) -> None: ...

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        self._rows += len(rows)

    async def delete(self, ids: Collection[str]) -> None:
        self._rows -= len(ids)

    async def find_candidates(
        self, vector: Vector | None, terms: str, *, pool: int, scope: Scope
    ) -> Sequence[Candidate]:
        del vector, terms, pool, scope
        return ()

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        del ids
        return ()

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        yield ()

    async def count(self) -> int:
        return self._rows

    async def list_indexes(self) -> Sequence[str]:
        return ()

    async def drop_index(self, index: str) -> None: ...

    async def maintain(self) -> None: ...

    async def close(self) -> None: ...


async def measure_memory(size_mb: int) -> tuple[float, float, float]:
    """Return the peak growth of memory in MB during a first sync of four large documents.

    In all, of this process, of the parsing processes: each its own peak, which need not fall together. Of what is
    shared each process has its part (PSS).
    """
    parser = Parser()
    peaks = (0.0, 0.0, 0.0)
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
        (home := Path(scratch) / "home").mkdir()
        roots = [Path(scratch) / f"source{n}" for n in range(4)]
        dice = random.Random(1)
        for root in roots:
            root.mkdir()
            words = ["".join(dice.choices("abcdefghijklmnop", k=dice.randint(2, 9))) for _ in range(5000)]
            with (root / "large.md").open("w") as file:
                file.writelines(" ".join(dice.choices(words, k=14)) + ".\n\n" for _ in range(size_mb * 1_000_000 // 92))
        async with open_sync_tools(home, ArithmeticEmbedder(), make_chunking(parser, ArithmeticEmbedder())) as kit:
            sources = [
                registry.build_source(SourceSpec(root.name, "folder", {"path": str(root)}, root), root, no_memory)
                for root in roots
            ]
            process = psutil.Process()
            before = _read_pss_mb(process)
            cheap = replace(kit, store=DiscardingStore())
            run = asyncio.create_task(sync_sources(cheap, sources))
            while not run.done():
                own, parsing = _read_pss_mb(process) - before, sum(map(_read_pss_mb, process.children()))
                peaks = max(peaks[0], own + parsing), max(peaks[1], own), max(peaks[2], parsing)
                await asyncio.sleep(0.05)
            assert (await run).ok, await run
    await parser.close()
    return peaks


def _read_pss_mb(process: psutil.Process) -> float:
    """Return the proportional memory of a process in MB, 0 if it has ended."""
    with contextlib.suppress(psutil.Error):
        return float(process.memory_full_info().pss) / 1e6
    return 0.0
