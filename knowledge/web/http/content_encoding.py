"""Content-Encoding undone piece by piece, never more at once than a piece: a bomb is found while it is still small."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli

from knowledge.errors import FetchFailed, FetchTooLarge

ACCEPT_ENCODING = "gzip, deflate, br"
"""What a request says it takes."""

_PIECE_BYTES = 1 << 18
_ZLIB_METHOD = 8
_GZIP_MAGIC = b"\x1f\x8b"
_RAW_WINDOW, _ZLIB_WINDOW, _GZIP_WINDOW = -15, 15, 31
_NO_WINDOW = 0
"""Nothing is read any more."""
_MAX_MEMBERS = 10_000
"""Of one body; a hostile one may hold a million that unpack to nothing."""


class _Decoder(Protocol):
    def decode(self, data: bytes) -> Iterator[bytes]: ...

    def whole(self) -> bool: ...


class ContentDecoder:
    """Undoes one body's encoding; pure, and never awaits."""

    def __init__(self, encoding: str, limit_bytes: int) -> None:
        """Take a Content-Encoding.

        Raises:
            FetchFailed: it is none that was accepted.

        """
        self._limit = limit_bytes
        self._unpacked = 0
        self._decoder = _create_decoder(encoding.strip().lower())

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what a part of the body unpacks to, in pieces.

        Raises:
            FetchTooLarge: the body unpacks to more than the limit.
            FetchFailed: it is not of its encoding.

        """
        try:
            for piece in self._decoder.decode(data):
                self._unpacked += len(piece)
                if self._unpacked > self._limit:
                    raise FetchTooLarge(f"the body unpacks to more than {self._limit} bytes")
                yield piece
        except (zlib.error, brotli.error):
            raise FetchFailed("the body is not of its encoding") from None

    def end(self) -> None:
        """Check that the body is whole.

        Raises:
            FetchFailed: it ends in the middle.

        """
        if not self._decoder.whole():
            raise FetchFailed("the packed body ends in the middle")


class _IdentityDecoder:
    @staticmethod
    def decode(data: bytes) -> Iterator[bytes]:
        yield data

    @staticmethod
    def whole() -> bool:
        return True


class _ZlibDecoder:
    """Gzip, of several members too, and deflate with and without zlib's header."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._stream = zlib.decompressobj(window)
        self._begun = False
        self._members = 1
        self._held = b""
        """What came after a member, too short yet to tell whether another one begins."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        if not self._begun and data:
            self._begun = True
            if self._window == _ZLIB_WINDOW and data[0] & 0xF != _ZLIB_METHOD:
                self._stream = zlib.decompressobj(_RAW_WINDOW)
        full = False
        while data or full:
            if self._stream.eof and not (data := self._next_member(data)):
                return
            piece = self._stream.decompress(data, _PIECE_BYTES)
            yield piece
            data = self._stream.unconsumed_tail
            full = len(piece) == _PIECE_BYTES  # more may wait inside, though all was taken in
            if self._stream.eof:
                data, full = self._stream.unused_data, False

    def _next_member(self, rest: bytes) -> bytes:
        """Begin with another member and return its bytes; what is no member is ignored, as browsers do."""
        rest, self._held = self._held + rest, b""
        if self._window != _GZIP_WINDOW or not rest.startswith(_GZIP_MAGIC[: len(rest)]):
            self._window = _NO_WINDOW
            return b""
        if len(rest) < len(_GZIP_MAGIC):
            self._held = rest
            return b""
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise FetchFailed("the body is packed in far too many parts")
        self._stream = zlib.decompressobj(self._window)
        return rest

    def whole(self) -> bool:
        return not self._begun or self._stream.eof


class _BrotliDecoder:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._begun = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        while data or not self._stream.can_accept_more_data():
            if self._stream.is_finished():
                return
            yield self._stream.process(data, output_buffer_limit=_PIECE_BYTES)
            data = b""

    def whole(self) -> bool:
        return not self._begun or self._stream.is_finished()


def _create_decoder(encoding: str) -> _Decoder:
    if encoding in {"", "identity"}:
        return _IdentityDecoder()
    if encoding in {"gzip", "x-gzip"}:
        return _ZlibDecoder(_GZIP_WINDOW)
    if encoding == "deflate":
        return _ZlibDecoder(_ZLIB_WINDOW)
    if encoding == "br":
        return _BrotliDecoder()
    raise FetchFailed("the body is packed in a way that was not accepted")
