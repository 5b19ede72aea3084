"""A library over the embedded store with everything else by arithmetic: opened as a process opens it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from knowledge.embedding import IDENTITY
from knowledge.interfaces import EVERYONE, Matrix, Priority, SourceKey
from knowledge.library import Clock, Library
from knowledge.settings import KnowledgeSettings, PathRights, PathWeight, SourceSpec
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.manifest.lease import Lease, LeaseOwner
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from knowledge.sync.manifest.tables import MIGRATIONS
from knowledge.sync.running.workbench import LocalWorkbench
from tests.database.templates import copy_tables
from tests.viewers import make_members

WORDS = 64


class Words:
    """An embedder by shared words. ``identity`` names the model that it imitates."""

    def __init__(self, identity: str = IDENTITY, dimensions: int = WORDS) -> None:
        self.identity, self.trouble = identity, ""
        self.dimensions = dimensions
        self.texts: list[str] = []
        """Passages that were embedded."""
        self.gate = asyncio.Event()
        self.gate.set()

    async def embed_query(self, text: str) -> Any:
        return (await self._vectors([text]))[0]

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self._vectors(texts)

    async def embed_passages(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        if priority is Priority.BACKGROUND:
            await self.gate.wait()
            self.texts += texts
        return await self._vectors(texts)

    async def _vectors(self, texts: Sequence[str]) -> Matrix:
        rows = np.full((len(texts), self.dimensions), 0.01, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[sum(word.encode()) % self.dimensions] += 1.0
        result: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return result

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class Overtaken(LanceDBStore):
    """A store that runs a whole sync (``meanwhile``) once between its answer and the manifest's."""

    meanwhile: Any = None

    async def find_candidates(self, *args: Any, **kwargs: Any) -> Any:
        found = await super().find_candidates(*args, **kwargs)
        meanwhile, Overtaken.meanwhile = Overtaken.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return found


class Bench:
    """A state directory; ``library`` opens it as a process would."""

    def __init__(self, home: Path, passages: Any) -> None:
        self.home = home
        self.url = f"sqlite:///{home / 'kvasir.db'}"
        self.passages = passages
        self.embedder = Words()
        self.chunker = "1"
        self.schema = "1"
        self.store = LanceDBStore
        self.web: Any = None
        self.owner: Callable[[], LeaseOwner] = LeaseOwner
        self.sleep = asyncio.sleep
        self.now = time.time
        self.weights: tuple[PathWeight, ...] = ()
        self.readers = EVERYONE
        self.names_readers = False
        self.unnamed: frozenset[str] = frozenset()
        """Sources without readers of their own in the configuration, although ``names_readers`` is set."""
        self.rights: tuple[PathRights, ...] = ()
        self.namespace = ""

    @contextlib.asynccontextmanager
    async def library(self, *sources: Any) -> AsyncIterator[Library]:
        specs = tuple(
            SourceSpec(
                source.key.name,
                "dict",
                {},
                self.home,
                readers=self.readers,
                names_readers=self.names_readers and source.key.name not in self.unnamed,
                rights=self.rights,
                weights=self.weights,
            )
            for source in sources
        )
        settings = KnowledgeSettings(self.home, self.home, self.url, specs)
        async with contextlib.AsyncExitStack() as stack:
            await copy_tables(self.url, MIGRATIONS)
            manifest = await open_manifest(self.url, self.namespace)
            stack.push_async_callback(manifest.close)
            indexes = Indexes(manifest, lambda _: self.store(self.home / "lancedb"), self.embedder)
            stack.push_async_callback(indexes.close)
            await indexes.open(IndexIdentity("lancedb", self.embedder.identity, self.chunker, "1", self.schema))
            library = Library(
                settings,
                sources=sources,
                indexes=indexes,
                embedder=self.embedder,
                bench=LocalWorkbench(self.embedder, self.passages),
                web=self.web,
                clock=Clock(self.sleep, self.now),
                lease=Lease(manifest.database, self.owner()),
            )
            stack.push_async_callback(library.close)
            yield library


async def texts(library: Library, query: str, **options: Any) -> list[str]:
    """Return the passages that a reader of the hits sees, with their joined neighbours, each once."""
    if "readers" in options:
        options["viewers"] = make_members(*options.pop("readers"))
    hits = (await library.search(query, **options)).hits
    return list(dict.fromkeys(part for hit in hits for part in (hit.context or hit.text).split("\n\n")))


async def read_state(library: Library, key: SourceKey) -> list[list[Any]]:
    """Return the documents of a source with their readers, and the pending deletions among them."""
    manifest = await library._find_searched()
    return [sorted(map(list, await manifest.list_readers(key))), sorted(await manifest.list_pending_names(key))]
