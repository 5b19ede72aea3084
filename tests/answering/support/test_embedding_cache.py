from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bot.answering.support.embedding_cache import EmbeddingCache
from knowledge.errors import KnowledgeError


class Embedder:
    """An embedder that counts its texts, and waits or fails on request."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def __call__(self, texts: Sequence[str]) -> Any:
        self.asked.append(list(texts))
        await self.gate.wait()
        if self.fails:
            raise KnowledgeError("the embedder is away")
        return np.array([[float(len(text)), 1.0] for text in texts], np.float32)


async def test_oldest_vectors_are_evicted() -> None:
    embedder = Embedder()
    cached = EmbeddingCache(embedder, texts=3)
    assert list((await cached(["one", "two!", "one"]))["two!"]) == [4.0, 1.0]
    await cached(["two!", "three"])
    await cached(["four"])
    await cached(["two!", "one"])
    assert embedder.asked == [["one", "two!"], ["three"], ["four"], ["one"]]
    assert await cached([]) == {}


async def test_more_texts_than_cache_are_all_returned() -> None:
    cached = EmbeddingCache(Embedder(), texts=2)
    assert set(await cached(["a", "b", "c"])) == {"a", "b", "c"}


async def test_concurrent_requests_embed_text_once() -> None:
    embedder = Embedder()
    embedder.gate.clear()
    cached = EmbeddingCache(embedder)
    both = asyncio.gather(cached(["same", "mine"]), cached(["same", "yours"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    embedder.gate.set()
    first, second = await both
    assert (first["same"] == second["same"]).all()
    assert embedder.asked == [["same", "mine"], ["yours"]]


async def test_cancelled_embedding_is_repeated_by_waiting_callers() -> None:
    embedder = Embedder()
    embedder.gate.clear()
    cached = EmbeddingCache(embedder)
    leaving, waiting = asyncio.create_task(cached(["same"])), asyncio.create_task(cached(["same"]))
    await asyncio.sleep(0)
    leaving.cancel()
    embedder.gate.set()
    assert set(await waiting) == {"same"}
    assert embedder.asked == [["same"], ["same"]]


async def test_failure_reaches_all_callers_and_is_not_cached() -> None:
    embedder = Embedder()
    embedder.fails = True
    cached = EmbeddingCache(embedder)
    results = await asyncio.gather(cached(["same"]), cached(["same"]), return_exceptions=True)
    assert [type(result) for result in results] == [KnowledgeError, KnowledgeError]
    embedder.fails = False
    assert set(await cached(["same"])) == {"same"}
    embedder.fails = True
    with pytest.raises(KnowledgeError):
        await cached(["another"])
