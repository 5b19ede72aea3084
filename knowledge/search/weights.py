"""Compute the weights of documents in a search, as configured for their sources. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from knowledge.path_filter import compile_path_filter
from knowledge.settings import SourceSpec

WeighDocument = Callable[[str], float]
"""Returns the factor for the scores of a document's passages."""


def make_document_weights(spec: SourceSpec) -> WeighDocument:
    """Return a function that returns the weight of a source's documents."""
    rules = [(compile_path_filter([one.path]), one.weight) for one in reversed(spec.weights)]

    @lru_cache(maxsize=4096)
    def weigh(document: str) -> float:
        return spec.weight * next((weight for takes, weight in rules if takes(document)), 1.0)

    return weigh
