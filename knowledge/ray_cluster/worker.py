"""A worker on a node of the cluster: parses, splits and embeds documents, and writes nothing.

Parsing locks itself in on a node as it does elsewhere (``knowledge.parsing.jail``).
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import knowledge
from knowledge.document_chunking import make_chunking
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Chunk, DocumentContent, Embedder, ListedDocument, Matrix, SourceKey, Vector
from knowledge.interfaces.embedding import EmbedderMemory
from knowledge.parsing import Parser
from knowledge.sync.running.workbench import LocalWorkbench

_COUNTED: Final = "Kvasir counts the tokens of this sentence, 以确认词表没有改变。"

OpenNodeEmbedder = Callable[[EmbedderMemory], Awaitable[Embedder]]
"""Opens the embedder that the variables of a node choose. It is a function of a module, which each node imports.

Raises ``KnowledgeError``."""


class WorkerLost(Exception):
    """The worker of a call, its node or the connection is gone, so that another worker may do the same."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of Kvasir as a reply. Ray would wrap it, or raise it as if the worker had died."""

    error: KnowledgeError


class KnownCanary:
    """``EmbedderMemory`` with the canary that the leader has stored, if its embedder has one."""

    def __init__(self, canary: Vector | None) -> None:
        self._canary = canary

    async def load_canary(self, identity: str) -> Vector | None:
        """Return the leader's vector."""
        del identity
        return self._canary

    async def add_canary(self, identity: str, vector: Vector) -> Vector:
        """Return the leader's vector, or this one if it has none."""
        del identity
        return vector if self._canary is None else self._canary


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker is, or what this process would be as one."""

    host: str
    code: str
    """``describe_code`` of its node."""
    embedder: str
    """The identity of its embedder."""
    tokens: int
    """What the embedder counts in a fixed text, because a vocabulary has no part in the identity."""
    has_token: bool
    """Whether its cluster refuses calls without a token."""
    jail_gaps: tuple[str, ...] = ()


class RayWorker:
    """The actor. Its methods return a ``Failure`` instead of raising a ``KnowledgeError``."""

    def __init__(self, open_embedder: OpenNodeEmbedder, canary: Vector | None) -> None:
        # One worker for each core computes more than one worker with as many threads.
        os.environ["OMP_NUM_THREADS"] = "1"
        self._open_embedder = open_embedder
        self._canary = canary
        self._bench: LocalWorkbench

    async def open(self) -> WorkerReport | Failure:
        """Open the parser and the embedder; call it first."""
        try:
            parser = Parser()
            gaps = await parser.find_jail_gaps()
            embedder = await self._open_embedder(KnownCanary(self._canary))
            report = await asyncio.to_thread(describe_worker, embedder, gaps)  # loads the model
        except KnowledgeError as error:
            return Failure(error)
        self._bench = LocalWorkbench(embedder, make_chunking(parser, embedder))
        return report

    async def chunk_document(
        self, key: SourceKey, listed: ListedDocument, content: DocumentContent
    ) -> tuple[str, Sequence[Chunk]] | Failure:
        """Return the title and the chunks of a document."""
        try:
            return await self._bench.chunk_document(key, listed, content)
        except KnowledgeError as error:
            return Failure(error)

    async def embed_passages(self, texts: Sequence[str]) -> Matrix | Failure:
        """Return the vectors of passages."""
        try:
            return await self._bench.embed_passages(texts)
        except KnowledgeError as error:
            return Failure(error)

    async def index_terms(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the lexical terms of passages."""
        return await self._bench.index_terms(texts)


def describe_worker(embedder: Embedder, jail_gaps: tuple[str, ...] = ()) -> WorkerReport:
    """Return what a worker in this process is. It may load a model, so it blocks."""
    return WorkerReport(
        socket.gethostname(),
        describe_code(),
        embedder.identity,
        embedder.count_tokens(_COUNTED),
        has_token=os.environ.get("RAY_AUTH_MODE", "").lower() == "token",
        jail_gaps=jail_gaps,
    )


@functools.cache
def describe_code() -> str:
    """Return Kvasir's version with a digest of its code here: other code may make other chunks of the same bytes."""
    folder = Path(knowledge.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return f"{version('kvasir')} ({digest.hexdigest()[:12]})"
