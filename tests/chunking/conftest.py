"""The real embedder, whose tokens limit a chunk."""

from __future__ import annotations

from tests.embedding.conftest import cache, embedder

__all__ = ["cache", "embedder"]
