"""Embed text as vectors. ``registry`` lists the embedders, with what their cosines mean."""

from knowledge.embedding.registry import (
    EMBEDDERS,
    IDENTITY,
    EmbedderSpec,
    choose_spec,
    explain_uncalibrated,
    find_calibration,
    open_embedder,
)

__all__ = [
    "EMBEDDERS",
    "IDENTITY",
    "EmbedderSpec",
    "choose_spec",
    "explain_uncalibrated",
    "find_calibration",
    "open_embedder",
]
