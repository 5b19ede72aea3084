"""Run a model from files: text to tokens, tokens to unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from knowledge.embedding.local.files import load_vocabulary
from knowledge.embedding.local.queue import Tokens
from knowledge.embedding.local.session import LOAD_ERRORS, LocalModel, OnnxSession, pad_tokens, sum_states
from knowledge.embedding.onnx_file.settings import OnnxFileSettings
from knowledge.errors import EmbedderError
from knowledge.interfaces import Matrix

_INPUTS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_TOKENS, _POOLED = 3, 2
"""The number of axes of an output with hidden states, and of one with a vector for each text."""
_MAX_CHARACTERS: Final = 32_768


class FileTokeniser:
    """A vocabulary from a ``tokenizer.json``."""

    def __init__(self, settings: OnnxFileSettings) -> None:
        self._counter = load_vocabulary(settings.tokenizer)
        self._cutter = load_vocabulary(settings.tokenizer)
        self._cutter.enable_truncation(settings.max_tokens)

    def count_tokens(self, text: str) -> int:
        """Count the vocabulary's tokens, without special tokens and prefix."""
        return len(self._counter.encode(_replace_surrogates(text), add_special_tokens=False).ids)

    def tokenise(self, prefix: str, text: str) -> Tokens:
        """Return the tokens to embed, at least one, cut to the limit."""
        ids = self._cutter.encode(_replace_surrogates(prefix + text[:_MAX_CHARACTERS])).ids
        return np.array(ids or self._cutter.encode(".").ids, np.int32)


class FileModel(LocalModel):
    """A graph and its vocabulary."""

    def __init__(self, settings: OnnxFileSettings, threads: int) -> None:
        """Open the files, and embed one text.

        Raises:
            EmbedderError: they are no model of texts.

        """
        self._settings = settings
        self.tokeniser = FileTokeniser(settings)
        try:
            self._session = OnnxSession(settings.file, threads)
        except LOAD_ERRORS as error:
            raise self._make_error(f"cannot be opened ({type(error).__name__})") from error
        if "input_ids" not in self._session.inputs <= _INPUTS:
            raise self._make_error(f"takes {', '.join(sorted(self._session.inputs))} instead of tokens")
        self.dimensions = self.encode_batch([self.tokeniser.tokenise("", "Kvasir")]).shape[1]

    def _encode_batch(self, batch: Sequence[Tokens]) -> Matrix:
        padded, inside = pad_tokens(batch, 0)
        inputs = {"input_ids": padded, "attention_mask": inside, "token_type_ids": np.zeros_like(padded)}
        output = self._session.run({name: inputs[name].astype(np.int64) for name in self._session.inputs})
        if output.ndim == _TOKENS and output.shape[:2] == inside.shape:
            output = output[:, 0] if self._settings.pooling == "cls" else sum_states(output, inside)
        elif output.ndim != _POOLED or len(output) != len(batch):
            raise self._make_error(f"returns an array of shape {output.shape} for {len(batch)} texts")
        vectors: Matrix = output[:, : self._settings.dimensions].astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise self._make_error("returns vectors that are zero, infinite or not numbers (NaN)")
        vectors /= norms
        return vectors

    def _make_error(self, what: str) -> EmbedderError:
        return EmbedderError(
            f"The model in {self._settings.file} {what}. Correct KVASIR_EMBEDDER_FILE, or unset every "
            "KVASIR_EMBEDDER_… to use the model that comes with Kvasir."
        )


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
