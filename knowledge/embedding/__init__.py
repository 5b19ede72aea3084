"""Text to vectors on this machine: ``open_embedder`` is all that others need."""

from knowledge.embedding.local_e5.embedder import E5Embedder, count_default_threads, open_embedder

__all__ = ["E5Embedder", "count_default_threads", "open_embedder"]
