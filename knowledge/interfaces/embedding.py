"""From texts to vectors: the interface of an embedder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vector: TypeAlias = "NDArray[np.float32]"
"""One embedding, shape ``(dimensions,)``, unit length."""

Matrix: TypeAlias = "NDArray[np.float32]"
"""Several embeddings, shape ``(texts, dimensions)``, each row of unit length."""

UnpackWheel = Callable[[str, str, str], Awaitable[Path]]
"""``(name, version, sha256)`` -> the folder of the unpacked wheel. Its errors go to the caller unchanged."""

ReportLine = Callable[[str], None]


class Priority(IntEnum):
    """The order in which waiting texts are embedded, smallest first."""

    QUERY = 0
    ANSWER = 1
    """Passages that an answer waits for."""
    BACKGROUND = 2


class EmbedderMemory(Protocol):
    """Keeps a vector of each embedder where all processes of an installation find it."""

    async def load_canary(self, identity: str) -> Vector | None:
        """Return the stored vector of an embedder, None if there is none."""

    async def add_canary(self, identity: str, vector: Vector) -> Vector:
        """Store a vector unless there is one already, and return the stored one."""


class Embedder(Protocol):
    """Convert texts to unit vectors; safe to call from several tasks at once.

    What embeds raises ``EmbedderError``, which names the next step, if the model fails or the embedder is closed.
    """

    @property
    def identity(self) -> str:
        """Return the model, its artefact's checksum and its precision.

        Two identities never share an index. Search and answers find their constants by it (``find_calibration``).
        """

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""

    @property
    def trouble(self) -> str:
        """Return why a server did not embed the last text, with the next step; "" if it did, or if there is none."""

    async def embed_query(self, text: str) -> Vector:
        """Return the vector of one question, which precedes all waiting passages."""

    async def embed_passages(self, texts: Sequence[str], *, priority: Priority = Priority.BACKGROUND) -> Matrix:
        """Return the vectors of passages, in the order of ``texts``."""

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        """Return vectors of short texts that are compared with each other, not with passages of an index."""

    def count_tokens(self, text: str) -> int:
        """Count tokens of the embedder's own vocabulary, which limit the length of a chunk.

        Chunking calls it for each paragraph or smaller part, always in a worker thread, so it may block. But an
        embedder behind HTTP should count with a local vocabulary, or estimate too many rather than too few.
        """

    async def close(self) -> None:
        """Release everything. Waiting texts are finished, or raise ``EmbedderError``. It is safe to call twice."""
