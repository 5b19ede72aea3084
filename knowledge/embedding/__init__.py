"""Embed text as vectors. ``registry`` lists the embedders, with what their cosines mean."""

from knowledge.embedding.registry import (
    CONFIGURED,
    EMBEDDERS,
    IDENTITY,
    EmbedderSpec,
    choose_spec,
    explain_uncalibrated,
    find_calibration,
    find_configured,
    open_embedder,
)

__all__ = [
    "CONFIGURED",
    "EMBEDDERS",
    "IDENTITY",
    "EmbedderSpec",
    "choose_spec",
    "explain_uncalibrated",
    "find_calibration",
    "find_configured",
    "open_embedder",
]
