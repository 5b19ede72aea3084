"""Run a graph under onnxruntime, synchronously. Only an embedder's thread computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from knowledge.embedding.local.queue import Tokens
from knowledge.errors import EmbedderError
from knowledge.interfaces import Matrix

_ORT_ERRORS = (ort_errors.Fail, ort_errors.RuntimeException, ort_errors.InvalidArgument, ort_errors.EPFail,
               ort_errors.NotImplemented)  # fmt: skip
LOAD_ERRORS: Final = (*_ORT_ERRORS, ort_errors.InvalidProtobuf, ort_errors.InvalidGraph, ort_errors.NoSuchFile, OSError,
                      RuntimeError, ValueError)  # fmt: skip
"""What a damaged or foreign file raises when it is opened."""


class OnnxSession:
    """An open graph. Any thread may use it, but several at once compute no faster than one."""

    def __init__(self, path: Path, threads: int) -> None:
        """Open a file; it raises one of ``LOAD_ERRORS``."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # One level more would fuse sums and normalisations into an operator that takes three times as long.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # Spinning threads would occupy a core between two questions.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = frozenset(one.name for one in self._session.get_inputs())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Matrix:
        """Return the graph's first output."""
        output: Matrix = self._session.run(None, dict(inputs))[0]
        return output


class LocalModel(ABC):
    """A vocabulary and a graph. Any thread may use them.

    ``count_tokens`` counts without special tokens and prefix. ``tokenise`` takes a prefix and a text, and returns the
    tokens to embed, cut to the model's limit.
    """

    dimensions: int
    count_tokens: Callable[[str], int]
    tokenise: Callable[[str, str], Tokens]

    def encode_batch(self, batch: Sequence[Tokens]) -> Matrix:
        """Embed a batch, shape ``(len(batch), dimensions)``, at unit length.

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

    @abstractmethod
    def _encode_batch(self, batch: Sequence[Tokens]) -> Matrix:
        """Embed a batch."""


def pad_tokens(batch: Sequence[Tokens], padding: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the tokens of a batch as one array, and which of them belong to a text."""
    lengths = np.array([len(tokens) for tokens in batch], np.int32)
    inside = np.arange(int(lengths.max())) < lengths[:, None]
    padded = np.full(inside.shape, padding, np.int32)
    padded[inside] = np.concatenate(batch)
    return padded, inside


def sum_states(states: Matrix, inside: NDArray[np.bool_]) -> Matrix:
    """Return the sum of each text's hidden states, which has the direction of their mean."""
    states *= inside[..., None]
    sums: Matrix = states.sum(axis=1)
    return sums
