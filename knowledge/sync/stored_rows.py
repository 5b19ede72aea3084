"""Reads the rows of a store for a backup, and writes them into an empty store, so that nothing is embedded again."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np

from knowledge.interfaces import Chunk, Store, StoredChunk
from knowledge.interfaces.audiences import ANY_NUMBER
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.manifest.running_backups import RunningBackups

_T = TypeVar("_T")

_AT_ONCE: Final = 500
_MAINTAIN_EVERY: Final = 50_000


class StoredRows:
    """The rows of the indexes that are searched and written."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def keep_rows(self) -> AbstractAsyncContextManager[None]:
        """Keep every row within a block, as ``RunningBackups.keep_rows``."""
        return RunningBackups(self._indexes.manifest.database).keep_rows()

    async def read_rows(self, index: str, ids: Iterable[str]) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the rows of an index as values for JSON; none if this Kvasir does not use the index.

        Raises:
            StoreError: the store failed.

        """
        store = self._find_store(index)
        if store is None:
            return
        for some in _slice_lazily(ids):
            for row in await store.read_rows(some):
                modified_at = row.chunk.modified_at and row.chunk.modified_at.isoformat()
                vector = base64.b64encode(np.asarray(row.vector, "<f4").tobytes()).decode()
                yield {**asdict(row.chunk), "modified_at": modified_at, "vector": vector, "terms": row.terms}

    async def write_rows(self, index: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Write rows of ``read_rows`` into an index; return how many. Known ids are replaced.

        Raises:
            StoreError: the store failed.

        """
        store, count = self._find_store(index), 0
        if store is not None:
            for some in _slice_lazily(rows):
                await store.write([_make_row(values) for values in some])
                count += len(some)
                if count % _MAINTAIN_EVERY == 0:
                    await store.maintain()
            await store.maintain()
        return count

    def _find_store(self, index: str) -> Store | None:
        """Return the store of an index, by its name in the database."""
        opened, suffix = (self._indexes.written, self._indexes.searched), self._indexes.manifest.suffix
        return next((one.store for one in opened if f"{one.row.name}{suffix}" == index), None)


def _slice_lazily(values: Iterable[_T]) -> Iterator[Sequence[_T]]:
    rest = iter(values)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _make_row(values: Mapping[str, Any]) -> StoredChunk:
    fields = {name: value for name, value in values.items() if name not in {"vector", "terms"}}
    modified_at = fields["modified_at"] and datetime.fromisoformat(fields["modified_at"])
    principals = tuple(fields.get("principals", (ANY_NUMBER,)))
    vector = np.frombuffer(base64.b64decode(values["vector"]), "<f4")
    chunk = Chunk(**{**fields, "modified_at": modified_at, "principals": principals})
    return StoredChunk(chunk, vector, values["terms"])
