"""Embed text as vectors. ``open_embedder`` opens the embedder of ``IDENTITY``."""

from knowledge.embedding.local_e5.embedder import E5Embedder, count_default_threads, open_embedder
from knowledge.embedding.local_e5.files import IDENTITY

__all__ = ["IDENTITY", "E5Embedder", "count_default_threads", "open_embedder"]
