"""A store of plain Python in memory. It shows all that a store needs: these methods, and ``TOY`` in the registry."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from knowledge.errors import IndexLost, StoreError, StoreMisconfigured
from knowledge.interfaces import Candidate, Chunk, Scope, StoredChunk, Vector
from knowledge.settings import KnowledgeSettings
from knowledge.stores.common import check_rows, merge_legs, slice_values
from knowledge.stores.registry import StoreSpec

TOY = StoreSpec("toy", "tests.stores.toy_store:make_store", list_addresses=lambda _: ())


@dataclass
class ToyIndex:
    """The rows of an index by id."""

    dimensions: int
    rows: dict[str, StoredChunk] = field(default_factory=dict)


_SHELVES: dict[Path, dict[str, ToyIndex]] = {}
"""The indexes by their names, for each state folder."""


class ToyStore:
    """``Store`` on one shelf."""

    def __init__(self, shelf: dict[str, ToyIndex]) -> None:
        self._shelf = shelf
        self._name: str | None = None

    async def open(self, index: str, dimensions: int) -> None:
        found = self._shelf.setdefault(index, ToyIndex(dimensions))
        if found.dimensions != dimensions:
            raise StoreMisconfigured(f"{index} has {found.dimensions} dimensions: run `kvasir sync` for a new index.")
        self._name = index

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        index = await self._find_index()
        check_rows(rows, index.dimensions)
        index.rows |= {row.chunk.id: row for row in rows}

    async def delete(self, ids: Collection[str]) -> None:
        index = await self._find_index()
        for id_ in ids:
            index.rows.pop(id_, None)

    async def find_candidates(
        self, vector: Vector | None, terms: str, *, pool: int, scope: Scope
    ) -> Sequence[Candidate]:
        rows = [*(await self._find_index()).rows.values()]
        score = make_bm25(terms, [row.terms.split() for row in rows])
        found = [
            Candidate(
                replace(row.chunk, audience="", kind="", modified_at=None),
                score(row.terms.split()),
                0.0 if vector is None else float(row.vector @ vector),
            )
            for row in rows
            if is_in_scope(row.chunk, scope)
        ]
        lexical = sorted((one for one in found if one.bm25), key=lambda one: -one.bm25)
        dense = sorted(found if vector is not None else (), key=lambda one: -one.cosine)
        return merge_legs(lexical[:pool], [replace(one, bm25=0.0) for one in dense[:pool]])

    async def read_rows(self, ids: Collection[str]) -> Sequence[StoredChunk]:
        rows = (await self._find_index()).rows
        return [rows[id_] for id_ in {*ids} & rows.keys()]

    async def list_ids(self) -> AsyncIterator[Sequence[str]]:
        for some in slice_values([*(await self._find_index()).rows], 1000):
            yield some

    async def count(self) -> int:
        return len((await self._find_index()).rows)

    async def check(self, *, heal: bool = False) -> None:  # noqa: ARG002 - nothing to heal
        await self._find_index()

    async def list_indexes(self) -> Sequence[str]:
        return [*self._shelf]

    async def drop_index(self, index: str) -> None:
        self._shelf.pop(index, None)

    async def maintain(self) -> None:
        """Do nothing."""

    async def scrub(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        self._name = None

    async def _find_index(self) -> ToyIndex:
        for _ in range(9):  # other tasks run meanwhile, as they do while a server works
            await asyncio.sleep(0)
        if self._name is None:
            raise StoreError("The toy store is not open: start Kvasir again.")
        if self._name not in self._shelf:
            raise IndexLost("The index is gone: the next sync builds it again.")
        return self._shelf[self._name]


def make_bm25(terms: str, texts: Sequence[Sequence[str]]) -> Callable[[Sequence[str]], float]:
    """Return the function that scores one of these texts: Okapi BM25 with k1 1.2 and b 0.75."""
    wanted = {*terms.split()}
    holders = Counter(term for text in texts for term in wanted & {*text})
    average = sum(map(len, texts)) / max(1, len(texts)) or 1.0

    def score(text: Sequence[str]) -> float:
        counts, base = Counter(text), 1.2 * (0.25 + 0.75 * len(text) / average)
        return sum(
            math.log(1 + (len(texts) - holders[term] + 0.5) / (holders[term] + 0.5))
            * (2.2 * counts[term] / (counts[term] + base))
            for term in wanted & counts.keys()
        )

    return score


def is_in_scope(chunk: Chunk, scope: Scope) -> bool:
    """Return whether a search in this scope may find the chunk."""
    made = chunk.modified_at
    return (
        chunk.source in scope.sources
        and (scope.audiences is None or chunk.audience in scope.audiences)
        and (not scope.kinds or chunk.kind in scope.kinds)
        and (scope.after is None or (made is not None and made >= scope.after))
        and (scope.before is None or (made is not None and made < scope.before))
    )


def make_store(settings: KnowledgeSettings) -> ToyStore:
    """Return a store on the shelf of the state folder."""
    return ToyStore(_SHELVES.setdefault(settings.home, {}))
