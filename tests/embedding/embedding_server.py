"""A stand-in for a server of embeddings and a reranker: a socket on loopback, with faults that a test injects."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from tests.embedding.toy_embedder import ToyEmbedder

EmbedTexts = Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]
Fault = Callable[[web.Request, list[dict[str, Any]]], web.StreamResponse | None]
"""Gets a request and the vectors of its reply, which it may change; returns another reply, or None."""
KEY = "sk-embed-5ecret"


@dataclass
class EmbeddingServer:
    """Answers with the vectors of ``embed``. ``faults`` change the next replies, each the next one."""

    embed: EmbedTexts
    model: str = "toy"
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    faults: list[Fault] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is cleared, passages wait before they are embedded."""
    served: list[str] = field(default_factory=list)
    """The first text of each request, in the order in which the server, which works on one at a time, ended them."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    scores: Callable[[str, str], float] = lambda _query, _text: 0.0
    rerank_format: str = "vllm"
    rerank_fault: Callable[[], Awaitable[web.StreamResponse]] | None = None

    async def answer_embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append({"key": request.headers.get("Authorization"), **body})
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            async with self.lock:
                if len(body["input"]) > 2:
                    await self.gate.wait()
                vectors = await self.embed(body["input"])
                self.served.append(body["input"][0])
            data = [{"object": "embedding", "index": n, "embedding": row.tolist()} for n, row in enumerate(vectors)]
            changed = self.faults.pop(0)(request, data) if self.faults else None
            return changed or web.json_response({"object": "list", "model": self.model, "data": data})
        finally:
            self.under_way -= 1

    async def answer_rerank(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        if self.rerank_fault is not None:
            return await self.rerank_fault()
        scored = [(n, self.scores(body["query"], text)) for n, text in enumerate(body["documents"])]
        scored.sort(key=lambda one: -one[1])
        if self.rerank_format == "tei":
            assert body["texts"] == body["documents"]
            return web.json_response([{"index": n, "score": score} for n, score in scored])
        return web.json_response({"results": [{"index": n, "relevance_score": score} for n, score in scored]})

    @property
    def texts(self) -> list[str]:
        """Return all texts that were sent."""
        return [text for request in self.requests for text in request.get("input", request.get("documents", []))]


@asynccontextmanager
async def serve_embeddings(
    embed: EmbedTexts | None = None, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[EmbeddingServer]:
    """Serve for the length of a block; without ``embed``, the toy embedder's vectors."""
    server = EmbeddingServer(embed or ToyEmbedder(256).embed_symmetric)
    server.gate.set()
    app = web.Application(client_max_size=64_000_000)
    app.router.add_post("/v1/embeddings", server.answer_embeddings)
    app.router.add_post("/v1/rerank", server.answer_rerank)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    server.url = f"{'http://127.0.0.1' if tls is None else 'https://localhost'}:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.gate.set()
        await runner.cleanup()


def answer_status(status: int, **headers: str) -> Fault:
    """Return a fault: a reply with a status, which repeats the key as careless servers do."""
    return lambda _request, _data: web.Response(status=status, text=f"no: Bearer {KEY}", headers=headers)


def change_data(change: Callable[[list[dict[str, Any]]], object]) -> Fault:
    """Return a fault: a reply with other data, NaN included, which JSON does not know but some servers write."""
    return lambda _, data: make_json({"object": "list", "data": change(data)})


def make_json(value: object) -> web.Response:
    """Return a reply that is JSON."""
    return web.Response(text=json.dumps(value), content_type="application/json")


def cut_connection(request: web.Request, _data: list[dict[str, Any]]) -> web.StreamResponse | None:
    """Close the connection instead of a reply."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
