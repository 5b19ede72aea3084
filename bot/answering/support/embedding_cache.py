"""A bounded cache in front of the embedder."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from knowledge.latest_entries import LatestEntries

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Awaitable[Vector]]
"""Texts to unit vectors, shape ``(texts, dimensions)``: short texts that are compared with each other, so both sides
are embedded alike."""

_CACHED_TEXTS = 4096
"""Vectors of 384 numbers take 6 MB."""


class EmbeddingCache:
    """Keeps the latest vectors; callers that want the same text at once share one embedding of it."""

    def __init__(self, embed: Embed, *, texts: int = _CACHED_TEXTS) -> None:
        self._embed = embed
        self._vectors: LatestEntries[str, Vector] = LatestEntries(texts)
        self._flights: dict[str, asyncio.Event] = {}
        """The texts that are being embedded, with what is set when that ends."""

    async def __call__(self, texts: Sequence[str]) -> Mapping[str, Vector]:
        """Return the vector of each text.

        Raises:
            KnowledgeError: the embedder failed.

        """
        vectors: dict[str, Vector] = {}
        while missing := [text for text in dict.fromkeys(texts) if text not in vectors]:
            if cached := [text for text in missing if text in self._vectors]:
                vectors |= {text: self._vectors[text] for text in cached}
                for text in cached:
                    self._vectors.move_to_end(text)
            elif free := [text for text in missing if text not in self._flights]:
                vectors |= await self._embed_texts(free)
            else:
                await self._flights[missing[0]].wait()
        return vectors

    async def _embed_texts(self, texts: Sequence[str]) -> dict[str, Vector]:
        """Embed texts that nobody else is embedding; if it fails, callers that wait for one of them try again."""
        landed = asyncio.Event()
        self._flights |= dict.fromkeys(texts, landed)
        try:
            rows = await self._embed(texts)
        finally:
            for text in texts:
                del self._flights[text]
            landed.set()
        # A view of the rows would keep all of them.
        found = {text: row.copy() for text, row in zip(texts, rows, strict=True)}
        self._vectors.update(found)
        return found
