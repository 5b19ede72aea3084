"""The request and the reply of ``/v1/embeddings``. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from knowledge.interfaces import Matrix

PATH = "/v1/embeddings"


class UnusableReply(Exception):
    """A reply is not what was asked for. The text is a phrase about the server."""


def build_request(model: str, texts: Sequence[str], dimensions: int | None) -> dict[str, object]:
    """Return the body of a call. Lone surrogates are no Unicode, and some servers refuse empty texts."""
    inputs = [text.encode("utf-8", "replace").decode() or "." for text in texts]
    request: dict[str, object] = {"model": model, "input": inputs, "encoding_format": "float"}
    return request | ({"dimensions": dimensions} if dimensions is not None else {})


def parse_vectors(reply: bytes, texts: int, dimensions: int | None) -> Matrix:
    """Return unit vectors in the order of the texts, whatever the order of the reply; ``dimensions`` None takes any.

    Raises:
        UnusableReply: it is not JSON of that form, or its vectors are not one for each text, not of that length, not
            finite, or zero.

    """
    try:
        items = sorted(json.loads(reply)["data"], key=lambda item: item["index"])
        indexes = [item["index"] for item in items]
        rows = [np.asarray(item["embedding"], np.float32) for item in items]
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        raise UnusableReply("answers with something other than embeddings") from None
    if indexes != list(range(texts)):
        raise UnusableReply(f"answers with other texts than the {texts} that were sent")
    lengths = {row.shape for row in rows}
    is_flat = all(len(shape) == 1 for shape in lengths)
    if len(lengths) != 1 or not is_flat or (dimensions is not None and lengths != {(dimensions,)}):
        found = " and ".join(sorted({str(row.size) for row in rows}))
        raise UnusableReply(f"answers with vectors of {found} numbers instead of {dimensions or 'one length'}")
    vectors: Matrix = np.stack(rows)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(vectors).all() or not (np.isfinite(norms) & (norms > 0)).all():
        raise UnusableReply("answers with vectors that are zero, infinite or not numbers (NaN)")
    unit_vectors: Matrix = (vectors / norms).astype(np.float32)
    return unit_vectors
