"""The documents as they are searched: whichever index answers now, also across a switch to another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise

from knowledge.errors import StoreError
from knowledge.interfaces import Chunk, CurrentChunk, Embedder, Hit
from knowledge.path_filter import compile_path_filter
from knowledge.search.calibration import SearchCalibration
from knowledge.search.hybrid import HybridSearch
from knowledge.search.passages import format_passage
from knowledge.search.plan import QueryPlan
from knowledge.search.results import DocumentResults
from knowledge.search.scope import may_read
from knowledge.settings import SourceSpec
from knowledge.sync.manifest.indexes import Indexes, OpenIndex
from knowledge.sync.manifest.records import CurrentRow, decode_readers

WeighDocument = Callable[[str], float]
"""Returns the factor for the scores of a document's passages."""


class DocumentSearch:
    """Searches the index that answers; safe from several tasks."""

    def __init__(
        self,
        indexes: Indexes,
        embedder: Embedder,
        calibration: SearchCalibration,
        weigh: Mapping[str, WeighDocument],
    ) -> None:
        """Take the open indexes, the embedder, and what documents weigh, by their source (``SourceKey.id``)."""
        self._indexes = indexes
        self._embedder = embedder
        self._calibration = calibration
        self._weigh = weigh
        self._hybrid: tuple[OpenIndex, HybridSearch] | None = None

    async def search(self, plan: QueryPlan) -> DocumentResults:
        """Return what the documents have for a question.

        Raises:
            StoreError, EmbedderError, DatabaseError: that part failed.

        """
        while True:
            index = await self.searched()
            if self._hybrid is None or self._hybrid[0] is not index:
                self._hybrid = index, self._search_of(index)
            try:
                seen = await self._hybrid[1].find_documents(plan)
            except StoreError:
                await self._indexes.follow(lost=True)
                if self._indexes.searched is index:
                    raise
            else:
                if await self.searched() is index:
                    return seen
            # A switch dropped the index in mid-search: what it held is in the new one.

    async def read_passage(self, chunks: Sequence[str], readers: Collection[str]) -> Hit | None:
        """Return what is current of some chunks of one document and may be read by every reader, as one passage.

        A "…" stands where the chunks do not follow each other, because the document has changed between them.

        Raises:
            StoreError, DatabaseError: that part failed.

        """
        index = await self.searched()
        rows = await index.manifest.find_current(chunks, self._weigh)
        listed = {row.id: _make_current_chunk(row, self._weigh[row.source](row.document)) for row in rows}
        allowed = [id_ for id_ in chunks if id_ in listed and may_read(frozenset(readers), listed[id_].readers)]
        found = {row.chunk.id: row.chunk for row in await index.store.read_rows(allowed)}
        parts = [found[id_] for id_ in allowed if id_ in found]
        if not parts:
            return None
        first, current = parts[0], listed[parts[0].id]
        return Hit(
            first.id,
            current.source_name,
            first.document,
            first.title,
            first.heading,
            first.url,
            "\n\n…\n\n".join(format_passage(stretch[0], stretch) for stretch in _group_stretches(parts, listed)),
            score=1.0,
            confidence=1.0,
            synced_at=current.synced_at,
            chunks=tuple(part.id for part in parts),
        )

    async def searched(self) -> OpenIndex:
        """Return the index to search, after a switch of another process the new one."""
        await self._indexes.follow()
        return self._indexes.searched

    def weight(self, source: str, document: str) -> float:
        """Return by what the scores of a document are multiplied; ``source`` is its ``SourceKey.id``."""
        return self._weigh[source](document)

    def _search_of(self, index: OpenIndex) -> HybridSearch:
        async def current(ids: Collection[str]) -> dict[str, CurrentChunk]:
            rows = await index.manifest.find_current(ids, self._weigh)
            return {row.id: _make_current_chunk(row, self.weight(row.source, row.document)) for row in rows}

        return HybridSearch(
            self._embedder,
            index.store,
            current,
            self._calibration,
            dense=index.dense,
            neighbours=index.manifest.find_neighbours,
        )


def make_document_weights(spec: SourceSpec) -> WeighDocument:
    """Return a function that returns the weight of a source's documents."""
    rules = [(compile_path_filter([one.path]), one.weight) for one in reversed(spec.weights)]

    @lru_cache(maxsize=4096)
    def weigh(document: str) -> float:
        return spec.weight * next((weight for takes, weight in rules if takes(document)), 1.0)

    return weigh


def _group_stretches(parts: Sequence[Chunk], listed: Mapping[str, CurrentChunk]) -> list[list[Chunk]]:
    """Return parts of a passage as runs that follow each other in one document."""
    stretches = [[parts[0]]]
    for before, part in pairwise(parts):
        one, other = listed[before.id], listed[part.id]
        if (other.row, other.place) == (one.row, one.place + 1):
            stretches[-1].append(part)
        else:
            stretches.append([part])
    return stretches


def _make_current_chunk(row: CurrentRow, weight: float) -> CurrentChunk:
    return CurrentChunk(
        source_name=row.source.partition("\x1f")[0],
        readers=decode_readers(row.readers),
        synced_at=datetime.fromtimestamp(row.confirmed_at, UTC),
        row=row.row,
        place=row.place,
        kind=row.kind,
        modified_at=None if row.modified_at is None else datetime.fromtimestamp(row.modified_at, UTC),
        weight=weight,
    )
