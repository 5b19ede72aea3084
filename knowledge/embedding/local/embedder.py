"""Embed with a model on this machine, in one thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from knowledge.embedding.local.queue import EmbeddingRequest, Tokens
from knowledge.embedding.local.worker import EmbeddingWorker
from knowledge.errors import EmbedderError
from knowledge.interfaces import Matrix, Priority, Vector

if TYPE_CHECKING:
    from knowledge.embedding.local.session import LocalModel

_MAX_THREADS = 4


class LocalEmbedder:
    """``knowledge.interfaces.Embedder`` for this machine.

    Texts are cut at the model's limit, including their prefix. Several tasks may share it. If a call is cancelled, its
    texts that are not yet computed are dropped. Every method raises ``EmbedderError`` if the model fails or the
    embedder is closed.

    The first text loads the model. Most commands have no text.
    """

    def __init__(
        self, identity: str, load: Callable[[], LocalModel], query_prefix: str, passage_prefix: str, dimensions: int = 0
    ) -> None:
        """``dimensions`` 0 is unknown until the model is loaded."""
        self.identity, self.dimensions, self.trouble = identity, dimensions, ""
        self._query_prefix, self._passage_prefix = query_prefix, passage_prefix
        self._load = load
        self._loading = threading.Lock()
        self._model: LocalModel | None = None
        self._worker = EmbeddingWorker(lambda batch: self._get_model().encode_batch(batch))

    async def embed_query(self, text: str) -> Vector:
        """Embed one question, before waiting passages."""
        if self._model is None:
            await asyncio.to_thread(self._get_model)
        # Here, because the threads may be busy with chunks.
        vector: Vector = (await self._submit_texts(Priority.QUERY, self._tokenise_texts(self._query_prefix, [text])))[0]
        return vector

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        """Embed short texts to compare with each other, such as a sentence and the passages that may support it.

        Both sides get the question's prefix, as the authors of e5 advise for symmetric comparison. They come before
        waiting passages, and share batches with questions.
        """
        tokens = await asyncio.to_thread(self._tokenise_texts, self._query_prefix, texts)
        return await self._submit_texts(Priority.QUERY, tokens)

    async def embed_passages(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        """Return the vectors of passages in the order of ``texts``."""
        return await self._submit_texts(
            priority, await asyncio.to_thread(self._tokenise_texts, self._passage_prefix, texts)
        )

    def count_tokens(self, text: str) -> int:
        """Count tokens of the model's vocabulary, without the prefix and the special tokens."""
        return self._get_model().count_tokens(text)

    async def close(self) -> None:
        """Finish waiting requests and end the thread. It is safe to call twice."""
        await asyncio.to_thread(self._worker.close)

    def _get_model(self) -> LocalModel:
        with self._loading:
            if self._model is None:
                try:
                    self._model = self._load()
                except EmbedderError as error:
                    self.trouble = str(error)
                    raise
                self.dimensions, self.trouble = self._model.dimensions, ""
            return self._model

    def _tokenise_texts(self, prefix: str, texts: Sequence[str]) -> list[Tokens]:
        tokenise = self._get_model().tokenise
        return [tokenise(prefix, text) for text in texts]

    async def _submit_texts(self, priority: Priority, texts: Sequence[Tokens]) -> Matrix:
        result = np.empty((len(texts), self.dimensions), np.float32)
        if not texts:
            return result
        # Cancelling the wrapper cancels the worker's future, and the worker drops texts that have not begun.
        return await asyncio.wrap_future(self._worker.submit(EmbeddingRequest(priority, texts, result)))


def count_threads() -> int:
    """Return the number of threads for one batch: this process's cores, at most 4, or ``OMP_NUM_THREADS``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(cores, int(wanted) if wanted.isdecimal() and int(wanted) else _MAX_THREADS)
