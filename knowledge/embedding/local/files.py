"""Read the files of a model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.errors import EmbedderError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def hash_file(path: Path) -> str:
    """Return a file's SHA-256, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_vocabulary(path: Path) -> Tokenizer:
    """Return the vocabulary of a ``tokenizer.json``, which fills up and cuts nothing.

    Raises:
        EmbedderError: the file cannot be read.

    """
    from tokenizers import Tokenizer  # noqa: PLC0415 - large, and rarely used

    try:
        vocabulary = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise EmbedderError(
            f"KVASIR_EMBEDDER_TOKENIZER names {path}, which is no tokenizer.json. Correct it, or unset it."
        ) from error
    vocabulary.no_padding()  # files of sentence-transformers fill up to 128 tokens, and cut there
    vocabulary.no_truncation()
    return vocabulary
