"""A sync of a folder into LanceDB that kills itself with SIGKILL at a named step: a program for ``test_killed.py``.

``python victim.py HOME ROOT STEP COUNT``; STEP is ``before write``, ``after flip`` …, COUNT which call of it. Without a
STEP it syncs to the end. It lives outside the tests' process because nothing in a process can show what SIGKILL leaves.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from knowledge.interfaces import Chunk, Content, Listed, Matrix, SourceKey
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from knowledge.stores.local import LocalStore
from knowledge.sync.lock import sync_lock
from knowledge.sync.pipeline import Stages
from knowledge.sync.records import Identity
from knowledge.sync.run import Limits, Tools, sync
from knowledge.sync.state import IndexManifest, open_manifest, sqlite_url
from tests.sources_bench import memories

IDENTITY = Identity("lancedb", "checksum", "blank lines", "words")
DIMENSIONS = 8


class Checksum:
    """Vectors from checksums."""

    identity = "checksum"
    dimensions = DIMENSIONS

    async def embed_query(self, text: str) -> Any:
        return (await self.embed_passages([text]))[0]

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        digests = [list(hashlib.sha256(text.encode()).digest()[:DIMENSIONS]) for text in texts]
        matrix = np.array(digests, np.float32).reshape(-1, DIMENSIONS) + 1
        result: Matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        return result

    def count_tokens(self, text: str) -> int:
        return len(text)


async def passages(key: SourceKey, listed: Listed, content: Content) -> tuple[str, Sequence[Chunk]]:
    """Cut at blank lines."""
    parts = [part for part in content.data.decode().split("\n\n") if part]
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{key.id}|{listed.document}|{part}")) for part in parts]
    chunks = [
        Chunk(id_, key.id, listed.document, listed.document, "", part, listed.url)
        for id_, part in zip(ids, parts, strict=True)
    ]
    return listed.document, chunks


class Fuse:
    """Kills this process before or after the call that was named."""

    def __init__(self, step: str, count: int) -> None:
        self._step = step
        self._left = count

    def _burn(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def fused(*args: Any, **kwargs: Any) -> Any:
            self._burn(f"before {name}")
            result = await method(*args, **kwargs)
            self._burn(f"after {name}")
            return result

        return fused


class FusedStore(LocalStore):
    def __init__(self, directory: Path, fuse: Fuse) -> None:
        super().__init__(directory)
        self._fuse = fuse

    async def write(self, *args: Any) -> None:
        await self._fuse.around("write", super().write)(*args)

    async def delete(self, *args: Any) -> None:
        await self._fuse.around("delete", super().delete)(*args)

    async def maintain(self) -> None:
        await self._fuse.around("maintain", super().maintain)()


class FusedManifest(IndexManifest):
    def __init__(self, plain: IndexManifest, fuse: Fuse) -> None:
        super().__init__(plain._database, plain._index)
        self._fuse = fuse

    async def note_pending(self, *args: Any) -> None:
        await self._fuse.around("note", super().note_pending)(*args)

    async def flip(self, *args: Any) -> list[str]:
        result: list[str] = await self._fuse.around("flip", super().flip)(*args)
        return result

    async def settle(self, *args: Any) -> None:
        await self._fuse.around("settle", super().settle)(*args)

    async def remove(self, *args: Any) -> list[str]:
        result: list[str] = await self._fuse.around("remove", super().remove)(*args)
        return result

    async def touch(self, *args: Any) -> None:
        await self._fuse.around("touch", super().touch)(*args)

    async def finish(self, *args: Any, **kwargs: Any) -> None:
        await self._fuse.around("finish", super().finish)(*args, **kwargs)


async def main(home: Path, root: Path, step: str, count: int) -> None:
    fuse = Fuse(step, count)
    source = registry.build(SourceSpec("docs", "folder", {"path": str(root)}, Path("/")), Path("/nowhere"), memories())
    manifest = await open_manifest(sqlite_url(home / "kvasir.db"))
    index = await manifest.index(IDENTITY)
    store = FusedStore(home / "lancedb", fuse)
    await store.open(index.name, DIMENSIONS)
    tools = Tools(
        Checksum(),
        store,
        FusedManifest(manifest.at(index), fuse),
        passages,
        str.lower,
        limits=Limits(stages=Stages(batch=5, waiting=8)),
    )
    with sync_lock(home / "sync.lock"):
        report = await sync(tools, [source], configured=[source.key.id], on_progress=lambda _progress: None)
    await store.close()
    await manifest.close()
    if not report.ok:
        raise SystemExit(f"{report}")


if __name__ == "__main__":
    asyncio.run(
        main(Path(sys.argv[1]), Path(sys.argv[2]), *([sys.argv[3], int(sys.argv[4])] if sys.argv[3:] else ["", 0]))
    )
