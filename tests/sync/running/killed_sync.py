"""A library's sync that kills itself with SIGKILL at a named step: a program for ``killed_installation.py``.

``run_killed_sync`` gets a ``World``, the step (``before write``, ``after flip`` …), ``count`` (which call of it) and
``approve``. Only a process of its own shows what SIGKILL leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import event
from sqlalchemy.engine import Engine

from bot.storage.processes import is_dead, name_this_process
from knowledge.database.database import Database
from knowledge.database.migrations import apply_revisions
from knowledge.interfaces import (
    Chunk,
    DocumentContent,
    ListedDocument,
    Matrix,
    Memory,
    SourceKey,
    make_class_key,
    number_readers,
)
from knowledge.library import Library
from knowledge.settings import KnowledgeSettings, SourceSpec
from knowledge.sources import registry
from knowledge.stores.registry import make_store
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.manifest.lease import Lease, LeaseOwner
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from knowledge.sync.manifest.tables import MIGRATIONS
from knowledge.sync.running.workbench import LocalWorkbench

DIMENSIONS = 8
STORE = {"write": "write", "delete": "delete", "maintain": "maintain", "drop_index": "drop"}
MANIFEST = {"add_index": "index", "activate_index": "activate", "forget_index": "forget"}
INDEX = {
    "add_pending_chunks": "note", "switch_documents": "flip", "forget_pending_chunks": "settle",
    "remove_documents": "remove", "record_unchanged": "touch", "mark_pending_deletions": "hold",
    "record_sync_end": "finish", "restrict_readers": "restrict", "drop_sources": "purge",
    "mark_lost_chunks": "lose", "record_repair": "repaired",
}  # fmt: skip
"""The steps of a sync, each a transaction or a call of the store, by their names in tests."""


@dataclass(frozen=True)
class World:
    """The arguments of a process."""

    home: str
    database_url: str
    sources: dict[str, str]
    readers: tuple[str, ...] = ("*",)
    chunker: str = "1"
    store: str = "lancedb"
    store_variables: dict[str, str] = field(default_factory=dict)
    namespace: str = ""

    def settings(self) -> KnowledgeSettings:
        specs = tuple(
            SourceSpec(name, "folder", {"path": path}, Path("/"), readers=frozenset(self.readers))
            for name, path in self.sources.items()
        )
        home = Path(self.home)
        return KnowledgeSettings(
            home,
            home,
            self.database_url,
            specs,
            store=self.store,
            store_variables=self.store_variables,
            namespace=self.namespace,
        )


class Checksum:
    """Vectors from checksums."""

    identity = "checksum"
    dimensions = DIMENSIONS
    trouble = ""

    async def embed_query(self, text: str) -> Any:
        return (await self.embed_passages([text]))[0]

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        digests = [list(hashlib.sha256(text.encode()).digest()[:DIMENSIONS]) for text in texts]
        matrix = np.array(digests, np.float32).reshape(-1, DIMENSIONS) + 1
        result: Matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        return result

    def count_tokens(self, text: str) -> int:
        return len(text)


async def passages(key: SourceKey, listed: ListedDocument, content: DocumentContent) -> tuple[str, Sequence[Chunk]]:
    """Cut at blank lines."""
    parts = [part for part in content.data.decode().split("\n\n") if part]
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{key.id}|{listed.document}|{part}")) for part in parts]
    chunks = [
        Chunk(id_, key.id, listed.document, listed.document, "", part, listed.url, make_class_key(listed.readers))
        for id_, part in zip(ids, parts, strict=True)
    ]
    return listed.document, [
        replace(chunk, kind="md", modified_at=listed.modified_at, principals=number_readers(listed.readers))
        for chunk in chunks
    ]


class Fuse:
    """Kills this process before or after the call that was named; a call with nothing to do does not count."""

    def __init__(self, step: str = "", count: int = 1) -> None:
        self._step = step
        self._left = count

    def burn(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def context(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def fused(*args: Any, **kwargs: Any) -> Any:
            idle = bool(args) and not args[0]
            if not idle:
                self.burn(f"before {name}")
            result = await method(*args, **kwargs)
            if not idle:
                self.burn(f"after {name}")
            return result

        return fused

    def watch_tables(self) -> None:
        """Burn after each statement that makes or changes a table."""

        def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.lstrip().split(" ", 1)[0] in {"CREATE", "ALTER", "DROP"}:
                self.burn("after table")

        event.listen(Engine, "after_cursor_execute", executed)


class Fused:
    """Another object, with a fuse around some of its methods."""

    def __init__(self, inner: Any, seams: dict[str, str], fuse: Fuse) -> None:
        assert all(hasattr(inner, name) for name in seams), "a seam was renamed"
        self._inner = inner
        self._seams = seams
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._fuse.context(self._seams[name], value) if name in self._seams else value


class FusedManifest(Fused):
    def use_database(self, database: Database) -> Any:
        return FusedManifest(self._inner.use_database(database), self._seams, self._fuse)

    def open_index(self, row: Any) -> Any:
        return Fused(self._inner.open_index(row), INDEX, self._fuse)

    def get_source_memory(self, key: SourceKey) -> Any:
        return Fused(self._inner.get_source_memory(key), {"save": "memory"}, self._fuse)


class Remembering:
    """A folder that remembers its last listing, as sources with incremental listings do."""

    def __init__(self, folder: Any, memory: Memory) -> None:
        self._folder = folder
        self._memory = memory
        self.key = folder.key
        self.read = folder.read
        self.close = folder.close

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        remembered = await self._memory.load()
        assert remembered is None or isinstance(json.loads(remembered), list), "half a memory"
        versions: list[str] = []
        async for batch in self._folder.list():
            versions += [listed.version for listed in batch]
            yield batch
        await self._memory.save(json.dumps(versions).encode())


@contextlib.asynccontextmanager
async def opened(world: World, fuse: Fuse | None = None) -> AsyncIterator[Library]:
    """Open the library of a world as ``open_library`` does, with fuses at its seams."""
    fuse, settings = fuse or Fuse(), world.settings()
    async with contextlib.AsyncExitStack() as stack:
        plain = await open_manifest(settings.database_url)
        stack.push_async_callback(plain.close)
        manifest: Any = FusedManifest(plain, {**MANIFEST}, fuse)
        folders = [registry.build_source(spec, Path("/nowhere"), plain.get_source_memory) for spec in settings.sources]
        sources = [Remembering(folder, manifest.get_source_memory(folder.key)) for folder in folders]
        indexes = Indexes(manifest, lambda _: Fused(make_store(settings), STORE, fuse), Checksum())  # type: ignore[arg-type,return-value]
        stack.push_async_callback(indexes.close)
        await indexes.open(IndexIdentity(settings.store, "checksum", world.chunker, "words"))
        library = Library(
            settings,
            sources=sources,
            indexes=indexes,
            embedder=Checksum(),
            bench=LocalWorkbench(Checksum(), passages),
            lease=Lease(plain.database, LeaseOwner(name_this_process(), is_dead)),
        )
        stack.push_async_callback(library.close)
        yield library


async def migrate(world: World) -> None:
    """Bring the tables of a world to the newest revision, as the start of Kvasir does."""
    await apply_revisions(world.settings().database_url, MIGRATIONS)


async def _sync(world: World, fuse: Fuse, *, approve: bool) -> None:
    fuse.watch_tables()
    await migrate(world)
    async with opened(world, fuse) as library:
        report = await library.refresh(approve=(await library.status()).approval_marks() if approve else None)
    if not report.ok:
        raise SystemExit(f"{report}")


def run_killed_sync(world: World, step: str, count: int, approve: bool) -> None:  # noqa: FBT001 - a process has no names
    """Sync in this process until the fuse kills it."""
    asyncio.run(_sync(world, Fuse(step, count), approve=approve))
