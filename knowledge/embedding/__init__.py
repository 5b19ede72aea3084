"""Text to vectors on this machine: ``open_embedder`` is all that others need."""

from knowledge.embedding.e5 import E5Embedder, default_threads, open_embedder

__all__ = ["E5Embedder", "default_threads", "open_embedder"]
