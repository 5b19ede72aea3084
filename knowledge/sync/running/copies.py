"""Embed identical texts once, across documents, sources, renames and runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from knowledge.interfaces import Matrix, Store, Vector
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.records import hash_text

_MAX_VECTORS = 8_192
"""Vectors that this run keeps for copies of texts that are not current yet: about 13 MB."""

Embed = Callable[[Sequence[str]], Awaitable[Matrix]]


class VectorCopies:
    """Finds vectors of identical texts, made by this run or stored with a current chunk.

    Two concurrent batches may both embed a text that is new in both.
    """

    def __init__(self, store: Store, manifest: IndexManifest) -> None:
        self._store = store
        self._manifest = manifest
        self._kept: OrderedDict[str, Vector] = OrderedDict()

    async def get_vectors(self, texts: Sequence[str], embed: Embed) -> list[Vector]:
        """Return a vector for each text. Calls ``embed`` only with texts that have no copy.

        Raises:
            EmbedderError, StoreError, DatabaseError: that part failed.

        """
        hashes = [hash_text(text) for text in texts]
        by_hash = dict(zip(hashes, texts, strict=True))
        found = {hash_: self._kept[hash_] for hash_ in by_hash if hash_ in self._kept}
        found |= await self._read_stored_vectors([hash_ for hash_ in by_hash if hash_ not in found])
        new = [hash_ for hash_ in by_hash if hash_ not in found]
        if new:
            matrix = await embed([by_hash[hash_] for hash_ in new])
            found.update(zip(new, matrix, strict=True))
        self._keep_vectors(found)
        return [found[hash_] for hash_ in hashes]

    async def _read_stored_vectors(self, hashes: Sequence[str]) -> dict[str, Vector]:
        ids = await self._manifest.find_vectors(hashes) if hashes else {}
        if not ids:
            return {}
        rows = await self._store.read_rows(list(ids.values()))
        # Compare by the row's own text, because the store may differ from the manifest.
        return {hash_text(row.chunk.searchable_text): np.asarray(row.vector, np.float32) for row in rows}

    def _keep_vectors(self, found: dict[str, Vector]) -> None:
        for hash_, vector in found.items():
            if hash_ not in self._kept:
                # Copy the row, because a view would keep the whole matrix of the batch in memory.
                self._kept[hash_] = vector.copy()
            self._kept.move_to_end(hash_)
        while len(self._kept) > _MAX_VECTORS:
            self._kept.popitem(last=False)
