"""Stand-ins for a sync: a store in memory, an embedder by arithmetic, a source from a dictionary.

Tests can make the next calls of each fail, which no real store does on request.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from knowledge.errors import KnowledgeError, ParseError, SourceError
from knowledge.interfaces import (
    EVERYONE,
    Candidate,
    Chunk,
    DocumentContent,
    ListedDocument,
    Matrix,
    Scope,
    SourceKey,
    StoredChunk,
    Vector,
    make_class_key,
    number_readers,
)
from knowledge.sync.coordinator import SyncCoordinator
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.manifest import Manifest, open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from knowledge.sync.manifest.tables import MIGRATIONS
from knowledge.sync.report import SourceReport, SyncProgress, SyncReport
from knowledge.sync.running.run import open_run
from knowledge.sync.running.tools import SyncLimits, SyncTools
from knowledge.sync.running.workbench import ChunkDocument, LocalWorkbench
from tests.database.templates import copy_tables

IDENTITY = IndexIdentity("memory", "arithmetic", "blank lines", "words")


class Failing:
    """Raises the error that was planned for a call, once."""

    def __init__(self) -> None:
        self.plans: list[tuple[str, int, KnowledgeError]] = []
        self.calls: list[str] = []

    def plan(self, call: str, error: KnowledgeError, *, after: int = 0) -> None:
        """Fail the call of that name that comes after so many good ones."""
        self.plans.append((call, after, error))

    def check(self, call: str) -> None:
        self.calls.append(call)
        for place, (name, after, error) in enumerate(self.plans):
            if name == call and after == 0:
                del self.plans[place]
                raise error
            if name == call:
                self.plans[place] = (name, after - 1, error)


class MemoryStore(Failing):
    """``Store`` in a dictionary; ``partly`` writes only so many rows of the batch that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.rows_by_id: dict[str, StoredChunk] = {}
        self.partly = 0

    async def open(self, index: str, dimensions: int) -> None: ...

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        try:
            self.check("write")
        except KnowledgeError:
            self.rows_by_id.update((row.chunk.id, row) for row in rows[: self.partly])
            raise
        self.rows_by_id.update((row.chunk.id, row) for row in rows)

    async def delete(self, ids: Collection[str]) -> None:
        self.check("delete")
        for id_ in ids:
            self.rows_by_id.pop(id_, None)

    async def find_candidates(
        self,
        vector: Vector,
        terms: str,
        *,
        pool: int,
        scope: Scope,
    ) -> Sequence[Candidate]:
        del terms, pool
        return [
            Candidate(row.chunk, 0.0, float(row.vector @ vector))
            for row in self.rows_by_id.values()
            if row.chunk.source in scope.sources and (scope.audiences is None or row.chunk.audience in scope.audiences)
        ]

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        return [self.rows_by_id[id_] for id_ in ids if id_ in self.rows_by_id]

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        yield list(self.rows_by_id)

    async def count(self) -> int:
        self.check("count")
        return len(self.rows_by_id)

    async def list_indexes(self) -> Sequence[str]:
        return []

    async def drop_index(self, index: str) -> None: ...

    async def maintain(self) -> None:
        self.check("maintain")

    async def scrub(self) -> None: ...

    async def close(self) -> None: ...


class Arithmetic(Failing):
    """``Embedder`` whose vectors come from a checksum. It counts what it embedded."""

    identity = "arithmetic"
    dimensions = 8

    def __init__(self) -> None:
        super().__init__()
        self.embedded: list[str] = []

    async def embed_query(self, text: str) -> Vector:
        vector: Vector = (await self.embed_passages([text]))[0]
        return vector

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        self.check("embed")
        self.embedded += texts
        digests = [hashlib.sha256(text.encode()).digest()[: self.dimensions] for text in texts]
        matrix = np.array([list(digest) for digest in digests], np.float32) + 1
        result: Matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        return result

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class DictSource(Failing):
    """``Source`` over a dictionary of texts; a text that starts with "broken" cannot be parsed."""

    has_uniform_readers = True

    def __init__(self, name: str = "handbook", root: str = "/handbook") -> None:
        super().__init__()
        self.key = SourceKey(name, "dict", root)
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.readers = EVERYONE
        self.url = "https://handbook.test/{}"
        self.modified_at: datetime | None = None
        self.reads: list[str] = []
        self.titles: dict[str, str] = {}
        """What the source reports of a document, besides its text."""
        self.garbage: dict[str, str] = {}
        """Extra content of each passage, as in some broken documents."""
        self._serial = itertools.count(1)

    def put(self, document: str, text: str) -> None:
        self.texts[document] = text
        self.versions[document] = next(self._serial)

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        self.check("list")
        for document in sorted(self.texts):
            yield [
                ListedDocument(
                    document,
                    str(self.versions[document]),
                    modified_at=self.modified_at,
                    url=self.url.format(document),
                    readers=self.readers,
                )
            ]
            self.check("list on")

    async def read(self, listed: ListedDocument) -> DocumentContent:
        self.check("read")
        self.reads.append(listed.document)
        if listed.document not in self.texts:
            raise SourceError(f"{listed.document} is gone. Look again.")
        text = self.texts[listed.document] + self.garbage.get(listed.document, "")
        data, version = text.encode("utf-8", "surrogatepass"), str(self.versions[listed.document])
        return DocumentContent(data, None, version, self.titles.get(listed.document))

    async def close(self) -> None: ...


class HangingSource(DictSource):
    """A source whose listing never ends."""

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        await asyncio.Event().wait()
        yield []


async def passages(key: SourceKey, listed: ListedDocument, content: DocumentContent) -> tuple[str, Sequence[Chunk]]:
    """Cut at blank lines; the first line that starts with "# " is the title."""
    text = content.data.decode("utf-8", "surrogatepass")
    if text.startswith("broken"):
        raise ParseError(f"{listed.document} is broken. Mend it.")
    title = text.removeprefix("# ").splitlines()[0] if text.startswith("# ") else listed.document
    title = (content.title or "").strip() or title
    body = text.partition("\n")[2] if text.startswith("# ") else text
    seen: dict[str, int] = {}
    chunks = []
    for part in filter(None, body.split("\n\n")):
        seen[part] = seen.get(part, 0) + 1
        id_ = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{key.id}|{listed.document}|{part!a}|{seen[part]}"))
        chunk = Chunk(id_, key.id, listed.document, title, "", part, listed.url, make_class_key(listed.readers))
        kind, numbers = listed.document.rpartition(".")[2], number_readers(listed.readers)
        chunks.append(replace(chunk, kind=kind, modified_at=listed.modified_at, principals=numbers))
    return title, chunks


@dataclass
class Rig:
    """A manifest on disk with everything else in memory."""

    manifest: Manifest
    index: IndexManifest
    store: MemoryStore = field(default_factory=MemoryStore)
    embedder: Arithmetic = field(default_factory=Arithmetic)
    source: DictSource = field(default_factory=DictSource)
    limits: SyncLimits = field(default_factory=SyncLimits)
    clock_s: float = 1_800_000_000.0
    progress: list[SyncProgress] = field(default_factory=list)
    chunk_document: ChunkDocument = passages
    recognises: bool = False

    async def sync(
        self, *sources: DictSource, configured: Collection[str] | None = None, approve: bool = False
    ) -> SyncReport:
        every = sources or (self.source,)
        tools = SyncTools(
            LocalWorkbench(self.embedder, self.chunk_document),
            self.store,
            self.index,
            limits=self.limits,
            recognises=self.recognises,
            now=lambda: self.clock_s,
        )
        keys = [source.key.id for source in every] if configured is None else configured
        agreed = {source.key.name: await self.index.list_pending_names(source.key) for source in every if approve}
        coordinator = SyncCoordinator(lambda: open_run(tools, keys))
        return await coordinator.refresh(every, self.progress.append, approve=agreed)

    async def report(self, *, approve: bool = False) -> SourceReport:
        return (await self.sync(approve=approve)).sources[self.source.key.name]

    async def answers(self, *sources: DictSource) -> dict[str, list[str]]:
        """Return the texts of each document that a search could show now, in order."""
        keys = [source.key.id for source in (sources or (self.source,))]
        rows = await self.index.find_current(list(self.store.rows_by_id), keys)
        found: dict[str, list[str]] = {}
        for row in sorted(rows, key=lambda row: (row.document, row.place)):
            found.setdefault(row.document, []).append(self.store.rows_by_id[row.id].chunk.text)
        return found

    async def agree(self) -> bool:
        """Return whether store and manifest have the same ids, without pending ones."""
        return await self.index.list_chunk_ids() == sorted(
            self.store.rows_by_id
        ) and not await self.index.list_pending_chunks(1)


def parts(source: DictSource) -> dict[str, list[str]]:
    """Return the passages that should answer, according to the source."""
    return {
        document: [part for part in text.removeprefix("# ").split("\n\n") if part]
        for document, text in source.texts.items()
        if not text.startswith("broken") and text
    }


@contextlib.asynccontextmanager
async def open_rig(url: str, *, lock_wait_s: float = 5.0) -> AsyncIterator[Rig]:
    await copy_tables(url, MIGRATIONS)
    manifest = await open_manifest(url, lock_wait_s=lock_wait_s)
    try:
        yield Rig(manifest, manifest.open_index(await manifest.add_index(IDENTITY)))
    finally:
        await manifest.close()
