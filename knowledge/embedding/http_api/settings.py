"""The settings of an embedder behind HTTP, and its declaration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge.embedding.registry import EmbedderSpec
from knowledge.web.http.settings import ServerAddress, WebSettings


@dataclass(frozen=True, slots=True)
class HttpEmbedderSettings:
    """Which model is asked where, and how."""

    address: ServerAddress
    """Its path ends before ``/v1/embeddings``."""
    model: str
    dimensions: int | None = None
    """The length that the server is asked to shorten vectors to; None for the model's own."""
    query_prefix: str = ""
    passage_prefix: str = ""
    revision: str = ""
    """Tells two models of the same name apart."""
    tokenizer: Path | None = None
    """A ``tokenizer.json`` of the model; None to estimate the number of tokens."""
    batch: int = 32
    """Texts in one call, the canary among them, at least two; 32 is the default limit of TEI."""
    concurrency: int = 1
    """Calls with passages at a time. A question waits for as many at most."""

    @property
    def identity(self) -> str:
        """Return what an index of these vectors is made with; its canary vector is stored by it."""
        made_with = [self.dimensions, self.query_prefix, self.passage_prefix, self.revision]
        return f"{self.model}:http:{hashlib.sha256(json.dumps(made_with).encode()).hexdigest()[:12]}"


def make_spec(variables: Mapping[str, Any], web: WebSettings) -> EmbedderSpec:
    """Return the declaration of the embedder that the variables ``KVASIR_EMBEDDER_…`` describe, without that prefix."""
    url = str(variables["URL"]).rstrip("/").removesuffix("/embeddings").removesuffix("/v1")
    settings = HttpEmbedderSettings(
        ServerAddress(url, variables.get("API_KEY"), web),
        **{name.lower(): value for name, value in variables.items() if name not in {"URL", "API_KEY"}},
    )
    return EmbedderSpec(
        lambda: settings.identity,
        "knowledge.embedding.http_api.embedder:open_http_embedder",
        options={"settings": settings},
        secrets=(key,) if (key := variables.get("API_KEY")) else (),
        addresses=(url,),
    )
