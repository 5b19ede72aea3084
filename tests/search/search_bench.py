"""A store, an embedder out of words and a manifest by hand, with the search over them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from knowledge.embedding import IDENTITY, find_calibration
from knowledge.errors import EmbedderError
from knowledge.interfaces import (
    EVERYONE,
    Chunk,
    CurrentChunk,
    Matrix,
    Scope,
    StoredChunk,
    Vector,
    make_class_key,
    number_readers,
)
from knowledge.lexical.terms import index_terms
from knowledge.search.access.audience_classes import AudienceClasses
from knowledge.search.hybrid import Breadth, HybridSearch
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.sync.manifest.records import UNSETTLED, AudienceList, AudienceRow, encode_readers
from tests.viewers import make_members

SYNCED = datetime(2026, 11, 1, tzinfo=UTC)
SOURCE = "docs\x1ffolder\x1f/srv"
EVERYWHERE = Scope(frozenset({SOURCE}))
DIMENSIONS = 64
CALIBRATION = find_calibration(IDENTITY).search


class WordEmbedder:
    """Vectors out of words: texts that share words are near, deterministically."""

    identity = "words"
    dimensions = DIMENSIONS
    trouble = ""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False

    async def embed_query(self, text: str) -> Vector:
        self.asked.append(text)
        if self.broken:
            raise EmbedderError("The embedder is broken: repair it.")
        return self._vector(text)

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        return np.stack([self._vector(text) for text in texts])

    async def close(self) -> None:
        pass

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def _vector(self, text: str) -> Vector:
        vector = np.full(DIMENSIONS, 0.2, np.float32)
        for word in set(index_terms(text).split()):
            seed = int(hashlib.sha256(word.encode()).hexdigest()[:8], 16)
            vector += np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)
        return vector / np.float32(np.linalg.norm(vector))


@dataclass
class SearchBench:
    """A store, its manifest, and the search over both."""

    store: LanceDBStore
    embedder: WordEmbedder = field(default_factory=WordEmbedder)
    manifest: dict[str, CurrentChunk] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    """The audience class of each row in the store."""
    asked_manifest: list[int] = field(default_factory=list)

    async def current(self, ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        self.asked_manifest.append(len(ids))
        return {id_: self.manifest[id_] for id_ in ids if id_ in self.manifest}

    async def neighbours(self, ids: Collection[str], reach: int) -> Mapping[str, tuple[Sequence[str], Sequence[str]]]:
        near = {}
        for id_ in ids:
            if (mine := self.manifest.get(id_)) is not None:
                line = sorted((one.place, other) for other, one in self.manifest.items() if one.row == mine.row)
                before = [other for place, other in line if mine.place - reach <= place < mine.place]
                after = [other for place, other in line if mine.place < place <= mine.place + reach]
                near[id_] = before, after
        return near

    async def read_audiences(self, _: AudienceList | None = None) -> AudienceList:
        """Return the audiences in the manifest, each with the class that its row in the store has."""
        rows = (
            AudienceRow(SOURCE, encode_readers(one.readers), UNSETTLED + self.stored.get(id_, ""))
            for id_, one in self.manifest.items()
        )
        return AudienceList(frozenset(rows))

    async def has_audiences(self, number: int) -> bool:
        return len({one.readers for one in self.manifest.values()}) >= number

    def mark_state(self) -> int:
        """Return a number that changes with the manifest and the store."""
        return hash((frozenset(self.manifest.items()), frozenset(self.stored.items())))

    def search(self, *, dense: bool = True, store: LanceDBStore | None = None, **breadth: int) -> HybridSearch:
        return HybridSearch(
            self.embedder if dense else None,
            store or self.store,
            self.current,
            CALIBRATION,
            breadth=Breadth(**breadth),
            neighbours=self.neighbours,
            classes=AudienceClasses(self.read_audiences, self.mark_state, has_audiences=self.has_audiences),
        )

    async def add(
        self,
        texts: Mapping[str, str],
        *,
        document: str | None = None,
        readers: frozenset[str] = EVERYONE,
        heading: str = "H",
        kind: str = "md",
        modified_at: datetime | None = None,
    ) -> None:
        """Take in the chunks of one document, in its order; without a name, each is a document of its own."""
        chunks = [
            Chunk(
                id_,
                SOURCE,
                name,
                "T",
                heading,
                text,
                f"u/{name}",
                make_class_key(readers),
                kind,
                modified_at,
                number_readers(readers),
            )
            for id_, text in texts.items()
            for name in [document or f"{id_}.md"]
        ]
        vectors = await self.embedder.embed_passages([chunk.text for chunk in chunks])
        await self.store.write([StoredChunk(c, v, index_terms(c.text)) for c, v in zip(chunks, vectors, strict=True)])
        for number, chunk in enumerate(chunks):
            self.stored[chunk.id] = chunk.audience
            row, place = sum(map(ord, chunk.document)), number if document else 0
            self.manifest[chunk.id] = CurrentChunk("docs", readers, SYNCED, row, place, kind, modified_at)


async def ids(search: HybridSearch, query: str, *, limit: int = 8, readers: Collection[str] = EVERYONE) -> list[str]:
    return [
        hit.id
        for hit in (
            await search.search(query, scope=Scope(frozenset({SOURCE}), make_members(*readers)), limit=limit)
        ).hits
    ]
