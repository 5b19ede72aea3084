"""Run the model synchronously: text to tokens, tokens to unit vectors. Only an embedder's thread computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from knowledge.embedding.local_e5.files import ENCODER, POSITIONS, VOCABULARY, WORDS
from knowledge.embedding.local_e5.queue import Tokens
from knowledge.embedding.local_e5.tokeniser import Tokeniser
from knowledge.embedding.local_e5.weights import dequantise
from knowledge.errors import EmbedderError
from knowledge.interfaces import Matrix

_PAD = 1

_ORT_ERRORS = (ort_errors.Fail, ort_errors.RuntimeException, ort_errors.InvalidArgument, ort_errors.EPFail)
_LOAD_ERRORS = (*_ORT_ERRORS, ort_errors.InvalidProtobuf, ort_errors.InvalidGraph, ort_errors.NoSuchFile, OSError,
                RuntimeError, ValueError)  # fmt: skip


class E5Model:
    """An open artefact. Any thread may use it, but several at once compute no faster than one."""

    def __init__(self, folder: Path, threads: int) -> None:
        try:
            self.tokeniser = Tokeniser((folder / VOCABULARY).read_bytes())
            self._words = np.load(folder / WORDS, mmap_mode="r")
            self._positions: Matrix = np.load(folder / POSITIONS)
            self._session = _open_session(folder / ENCODER, threads)
        except _LOAD_ERRORS as error:
            raise EmbedderError(
                f"The embedder at {folder} cannot be opened ({type(error).__name__}). "
                "Delete that folder and start again: Kvasir then builds it again."
            ) from error

    def encode_batch(self, batch: Sequence[Tokens]) -> Matrix:
        """Embed a batch, shape ``(len(batch), dimensions)``: the mean of the hidden states, at unit length.

        Raises:
            EmbedderError: onnxruntime failed, for example out of memory.

        """
        try:
            return self._encode_batch(batch)
        except (*_ORT_ERRORS, MemoryError) as error:
            raise EmbedderError(
                f"The embedder failed on {len(batch)} texts ({type(error).__name__}). "
                "Free memory on this machine and try again."
            ) from error

    def _encode_batch(self, batch: Sequence[Tokens]) -> Matrix:
        lengths = np.array([len(tokens) for tokens in batch], np.int32)
        width = int(lengths.max())
        inside = np.arange(width) < lengths[:, None]
        padded = np.full(inside.shape, _PAD, np.int32)
        padded[inside] = np.concatenate(batch)
        states: Matrix = self._session.run(None, {"emb": self._look_up_embeddings(padded), "lengths": lengths})[0]
        states *= inside[..., None]
        # The divisor of the mean has no effect on a unit vector.
        sums: Matrix = states.sum(axis=1)
        sums /= np.linalg.norm(sums, axis=1, keepdims=True)
        return sums

    def _look_up_embeddings(self, padded: NDArray[np.int32]) -> Matrix:
        unique, places = np.unique(padded, return_inverse=True)
        words = dequantise(self._words[unique])
        states: Matrix = words[places.reshape(padded.shape)]
        states += self._positions[: padded.shape[1]]
        return states


def _open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # One level more would fuse sums and normalisations into an operator that takes three times as long.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Spinning threads would occupy a core between two questions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
