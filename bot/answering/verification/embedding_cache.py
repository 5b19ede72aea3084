"""A bounded cache in front of the embedder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]
"""Texts to unit vectors, shape ``(texts, dimensions)``: short texts that are compared with each other, so both sides
are embedded alike."""

_CACHED_TEXTS = 2048
"""Vectors of 384 numbers take 3 MB."""


class EmbeddingCache:
    """An ``Embed`` that keeps the latest vectors: the passages of one answer are often those of the next."""

    def __init__(self, embed: Embed, *, texts: int = _CACHED_TEXTS) -> None:
        self._embed = embed
        self._limit = texts
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    async def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' vectors; embed those that are not in the cache."""
        found = {text: self._vectors[text] for text in texts if text in self._vectors}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            rows = await self._embed(missing)
            found |= {text: row.copy() for text, row in zip(missing, rows, strict=True)}  # a view would keep them all
        for text in texts:
            self._vectors[text] = found[text]
            self._vectors.move_to_end(text)
        while len(self._vectors) > self._limit:
            self._vectors.popitem(last=False)
        return np.stack([found[text] for text in texts]) if texts else np.empty((0, 0), np.float32)
