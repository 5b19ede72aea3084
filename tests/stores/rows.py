"""Rows for store tests, with plain default values."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from knowledge.interfaces import EVERYONE, Chunk, StoredChunk, Vector, make_class_key

DIMENSIONS = 8


def unit(*values: float, dimensions: int = DIMENSIONS) -> Vector:
    """Return a unit vector that begins with these values."""
    vector = np.zeros(dimensions, np.float32)
    vector[: len(values)] = values
    return vector / np.float32(np.linalg.norm(vector))


def some_unit(seed: int, dimensions: int = DIMENSIONS) -> Vector:
    """Return one of many unit vectors."""
    return unit(*np.random.default_rng(seed).normal(size=dimensions), dimensions=dimensions)


def row(
    id_: str,
    terms: str = "term",
    vector: Vector | None = None,
    *,
    source: str = "docs",
    text: str = "A passage.",
    readers: frozenset[str] = EVERYONE,
    document: str = "guide.md",
    kind: str = "md",
    modified_at: datetime | None = None,
) -> StoredChunk:
    """Return a row with plain default values."""
    url = "https://docs.example/guide#start"
    chunk = Chunk(id_, source, document, "Guide", "Start › Here", text, url, make_class_key(readers), kind, modified_at)
    return StoredChunk(chunk, unit(1) if vector is None else vector, terms)
