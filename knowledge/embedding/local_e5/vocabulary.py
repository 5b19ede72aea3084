"""Write the vocabulary as a sentencepiece model, a small protobuf.

Field numbers are those of ``sentencepiece_model.proto``: ``ModelProto.pieces`` = 1, ``trainer_spec`` = 2,
``normalizer_spec`` = 3. Text is already normalised (``normalise_text``), so the normaliser is identity.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from knowledge.embedding.local_e5.weights import ModelShape, VocabularyPiece

_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_UNIGRAM = 1
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3


def build_sentencepiece_model(pieces: Sequence[VocabularyPiece], shape: ModelShape) -> bytes:
    """Return the serialised model. Ids are the places in ``pieces``."""
    control = {shape.bos, shape.eos, shape.pad, len(pieces) - 1}  # The last piece is <mask>.
    parts = [_encode_message(1, piece) for piece in _encode_pieces(pieces, shape.unknown, control)]
    return b"".join([*parts, _encode_message(2, _encode_trainer(shape)), _encode_message(3, _encode_normaliser())])


def _encode_pieces(pieces: Sequence[VocabularyPiece], unknown: int, control: set[int]) -> Iterator[bytes]:
    for index, piece in enumerate(pieces):
        kind = _UNKNOWN if index == unknown else _CONTROL if index in control else _NORMAL
        score = _encode_key(2, _FIXED32) + struct.pack("<f", piece.score)
        yield _encode_message(1, piece.text.encode()) + score + _encode_integer(3, kind)


def _encode_trainer(shape: ModelShape) -> bytes:
    special = ((40, shape.unknown), (41, shape.bos), (42, shape.eos), (43, shape.pad))
    return _encode_integer(3, _UNIGRAM) + b"".join(_encode_integer(field, token) for field, token in special)


def _encode_normaliser() -> bytes:
    add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces = 3, 4, 5
    switches = (add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces)
    return _encode_message(1, b"identity") + b"".join(_encode_integer(field, 1) for field in switches)


def _encode_key(field: int, wire: int) -> bytes:
    return _encode_varint(field << 3 | wire)


def _encode_integer(field: int, value: int) -> bytes:
    return _encode_key(field, _VARINT) + _encode_varint(value)


def _encode_message(field: int, content: bytes) -> bytes:
    return _encode_key(field, _BYTES) + _encode_varint(len(content)) + content


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
