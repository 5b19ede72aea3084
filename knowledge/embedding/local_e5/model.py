"""Run the model synchronously: text to tokens, tokens to unit vectors. Only an embedder's thread computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.embedding.local.queue import Tokens
from knowledge.embedding.local.session import LOAD_ERRORS, LocalModel, OnnxSession, pad_tokens, sum_states
from knowledge.embedding.local_e5.files import DIMENSIONS, ENCODER, POSITIONS, VOCABULARY, WORDS
from knowledge.embedding.local_e5.tokeniser import Tokeniser
from knowledge.embedding.local_e5.weights import dequantise
from knowledge.errors import EmbedderError
from knowledge.interfaces import Matrix

_PAD = 1


class E5Model(LocalModel):
    """An open artefact. Any thread may use it, but several at once compute no faster than one."""

    dimensions = DIMENSIONS

    def __init__(self, folder: Path, threads: int) -> None:
        try:
            self.tokeniser = Tokeniser((folder / VOCABULARY).read_bytes())
            self.count_tokens, self.tokenise = self.tokeniser.count_tokens, self.tokeniser.tokenise
            self._words = np.load(folder / WORDS, mmap_mode="r")
            self._positions: Matrix = np.load(folder / POSITIONS)
            self._session = OnnxSession(folder / ENCODER, threads)
        except LOAD_ERRORS as error:
            raise EmbedderError(
                f"The embedder at {folder} cannot be opened ({type(error).__name__}). "
                "Delete that folder and start again: Kvasir then builds it again."
            ) from error

    def _encode_batch(self, batch: Sequence[Tokens]) -> Matrix:
        padded, inside = pad_tokens(batch, _PAD)
        lengths = inside.sum(axis=1, dtype=np.int32)
        vectors = sum_states(self._session.run({"emb": self._look_up_embeddings(padded), "lengths": lengths}), inside)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _look_up_embeddings(self, padded: NDArray[np.int32]) -> Matrix:
        unique, places = np.unique(padded, return_inverse=True)
        words = dequantise(self._words[unique])
        states: Matrix = words[places.reshape(padded.shape)]
        states += self._positions[: padded.shape[1]]
        return states
