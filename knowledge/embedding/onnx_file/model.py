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

_CHARACTERS: Final = 64  # more than a token has
_INPUTS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})


class FileModel(LocalModel):
    """A graph and its vocabulary."""

    def __init__(self, settings: OnnxFileSettings, threads: int) -> None:
        """Open the files, and embed one text.

        Raises:
            EmbedderError: they are no model of texts.

        """
        self._settings = settings
        self._vocabulary = load_vocabulary(settings.tokenizer)
        self._vocabulary.enable_truncation(settings.max_tokens)
        try:
            self._session = OnnxSession(settings.file, threads)
        except LOAD_ERRORS as error:
            raise self._make_error(f"cannot be opened ({type(error).__name__})") from error
        if not {"input_ids"} <= self._session.inputs <= _INPUTS:
            raise self._make_error(f"takes {', '.join(sorted(self._session.inputs))} instead of tokens")
        self.dimensions = self.encode_batch([self.tokenise("", "Kvasir")]).shape[1]

    def _encode_batch(self, batch: Sequence[Tokens]) -> Matrix:
        padded, inside = pad_tokens(batch, 0)
        inputs = {"input_ids": padded, "attention_mask": inside, "token_type_ids": np.zeros_like(padded)}
        output = self._session.run({name: inputs[name].astype(np.int64) for name in self._session.inputs})
        if output.ndim > inside.ndim and output.shape[:2] == inside.shape:
            output = output[:, 0] if self._settings.pooling == "cls" else sum_states(output, inside)
        elif output.ndim != inside.ndim or len(output) != len(batch):
            raise self._make_error(f"returns an array of shape {output.shape} for {len(batch)} texts")
        vectors: Matrix = output[:, : self._settings.dimensions].astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def count_tokens(self, text: str) -> int:
        """Count the vocabulary's tokens, without special tokens and prefix."""
        cut = self._vocabulary.encode(_replace_surrogates(text), add_special_tokens=False)
        return len(cut) + sum(map(len, cut.overflowing))

    def tokenise(self, prefix: str, text: str) -> Tokens:
        """Return the tokens to embed, at least one, cut to the limit."""
        text = _replace_surrogates(prefix + text[: _CHARACTERS * self._settings.max_tokens])
        return np.array(self._vocabulary.encode(text).ids or self._vocabulary.encode(".").ids, np.int32)

    def _make_error(self, what: str) -> EmbedderError:
        return EmbedderError(
            f"The model in {self._settings.file} {what}. Correct KVASIR_EMBEDDER_FILE, or unset every "
            "KVASIR_EMBEDDER_… to use the model that comes with Kvasir."
        )


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
