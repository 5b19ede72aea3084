"""The settings of a model in files, and its declaration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from knowledge.embedding.local.files import hash_file
from knowledge.embedding.registry import EmbedderSpec
from knowledge.web.http.settings import WebSettings

_WEIGHTS: Final = ("_data", ".data")  # so end the names of files with weights that are too large for the graph's own


@dataclass(frozen=True)
class OnnxFileSettings:
    """Which files the model has, and how it is used.

    Args:
        file: the graph. It takes token ids, and returns hidden states or one vector for each text.
        tokenizer: a ``tokenizer.json``.
        pooling: how hidden states become one vector: their mean, or that of the first token.
        dimensions: only so many numbers of a vector are kept; None for all.
        query_prefix: what the model wants before a question.
        passage_prefix: what it wants before a passage.
        max_tokens: longer texts are cut, their prefix and special tokens included.

    """

    file: Path
    tokenizer: Path
    pooling: Literal["mean", "cls"] = "mean"
    dimensions: int | None = None
    query_prefix: str = ""
    passage_prefix: str = ""
    max_tokens: int = 512

    @cached_property
    def identity(self) -> str:
        """Return what an index of these vectors is made with: the checksums of the files, and the settings.

        Raises:
            OSError: a file cannot be read.

        """
        weights = [self.file.with_name(f"{self.file.name}{end}") for end in _WEIGHTS]
        checksums = [hash_file(path) for path in (self.file, self.tokenizer, *filter(Path.exists, weights))]
        used = [self.pooling, self.dimensions, self.query_prefix, self.passage_prefix, self.max_tokens]
        rest = hashlib.sha256(json.dumps([checksums[1:], used]).encode()).hexdigest()
        return f"onnx:{checksums[0][:12]}:{rest[:12]}"


def make_spec(variables: Mapping[str, Any], _web: WebSettings) -> EmbedderSpec:
    """Return the declaration of the model that the variables ``KVASIR_EMBEDDER_…`` describe, without that prefix.

    Raises:
        OSError: a file cannot be read.

    """
    settings = OnnxFileSettings(**{name.lower(): value for name, value in variables.items()})
    for path in (settings.file, settings.tokenizer):
        path.open("rb").close()
    return EmbedderSpec(
        lambda: settings.identity,
        "knowledge.embedding.onnx_file.embedder:open_onnx_file",
        options={"settings": settings},
        addresses=(),
    )
