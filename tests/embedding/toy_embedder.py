"""An embedder of a few lines that is declared as the product's are: words, hashed to places of a vector."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from knowledge.embedding import EmbedderSpec
from knowledge.errors import EmbedderError
from knowledge.interfaces import Matrix, Priority, Vector


class ToyEmbedder:
    """``knowledge.interfaces.Embedder`` for which nothing was measured."""

    identity = "toy:hashed-words:1"
    trouble = ""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._is_open = True

    async def embed_query(self, text: str) -> Vector:
        vector: Vector = (await self.embed_symmetric([text]))[0]
        return vector

    async def embed_passages(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        del priority
        return await self.embed_symmetric(texts)

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        if not self._is_open:
            raise EmbedderError("The embedder is closed. Open it again.")
        rows = np.full((len(texts), self.dimensions), 0.01, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[zlib.crc32(word.strip(".?,").encode(errors="replace")) % self.dimensions] += 1.0
        vectors: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return vectors

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def close(self) -> None:
        self._is_open = False


async def open_toy(
    _cache: Path, _unpack_wheel: object, *, progress: object, memory: object, dimensions: int
) -> ToyEmbedder:
    """Open it as ``EmbedderSpec.implementation``."""
    del progress, memory
    return ToyEmbedder(dimensions)


TOY = EmbedderSpec(
    lambda: ToyEmbedder.identity, "tests.embedding.toy_embedder:open_toy", options={"dimensions": 256}, addresses=()
)
