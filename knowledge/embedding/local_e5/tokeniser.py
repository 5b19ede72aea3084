"""Convert text to the model's tokens."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import numpy as np
from sentencepiece import SentencePieceProcessor

from knowledge.embedding.local.queue import Tokens

MAX_TOKENS: Final = 512
"""The model's limit, including its two special tokens and the prefix. Longer texts are cut."""

_MAX_CHARACTERS = 32_768
"""More than 512 tokens can cover, so that a huge text is cut before it is tokenised."""

_BOS, _EOS = 0, 2

# Characters that sentencepiece's ``nmt_nfkc`` rules drop or turn into spaces before NFKC. Surrogates cannot be encoded.
_DROPPED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]")
_SPACES = re.compile("[\t\n\x0c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd\ud800-\udfff]")


def normalise_text(text: str) -> str:
    """Return text in the form that the vocabulary expects (NFKC, no control characters)."""
    return unicodedata.normalize("NFKC", _SPACES.sub(" ", _DROPPED.sub("", text)))


class Tokeniser:
    """The vocabulary, as ``build_sentencepiece_model`` writes it. Any thread may use it."""

    def __init__(self, vocabulary: bytes) -> None:
        self._vocabulary = SentencePieceProcessor(model_proto=vocabulary)

    def count_tokens(self, text: str) -> int:
        """Count the vocabulary's tokens, without special tokens and prefix."""
        return len(self._vocabulary.encode(normalise_text(text)))

    def tokenise(self, prefix: str, text: str) -> Tokens:
        """Return the tokens to embed, cut to ``MAX_TOKENS``."""
        pieces: list[int] = self._vocabulary.encode(normalise_text(prefix + text[:_MAX_CHARACTERS]))
        return np.array([_BOS, *pieces[: MAX_TOKENS - 2], _EOS], np.int32)
