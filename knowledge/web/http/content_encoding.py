"""Decode Content-Encoding in small pieces, so that a decompression bomb is detected while it is small. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import brotli

from knowledge.errors import FetchFailed, FetchTooLarge

ACCEPT_ENCODING = "gzip, deflate, br"

_PIECE_BYTES = 1 << 18
_ZLIB_METHOD = 8
_GZIP_MAGIC = b"\x1f\x8b"
_RAW_WINDOW, _ZLIB_WINDOW, _GZIP_WINDOW = -15, 15, 31
_NO_WINDOW = 0
"""The rest of the body is ignored."""
_MAX_MEMBERS = 10_000
"""The most members of one body; a hostile one may have a million empty members."""


class ContentDecoder:
    """Decodes one body."""

    def __init__(self, encoding: str, limit_bytes: int) -> None:
        """Choose the decoder of a Content-Encoding.

        Raises:
            FetchFailed: the encoding is not supported.

        """
        self._limit = limit_bytes
        self._decoded_bytes = 0
        self._decoder = _create_decoder(encoding.strip().lower())

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield a part of the body decoded, in pieces.

        Raises:
            FetchTooLarge: the decoded body is larger than the limit.
            FetchFailed: the body is malformed.

        """
        try:
            for piece in self._decoder.decode(data):
                self._decoded_bytes += len(piece)
                if self._decoded_bytes > self._limit:
                    raise FetchTooLarge(f"the body decompresses to more than {self._limit} bytes")
                yield piece
        except (zlib.error, brotli.error):
            raise FetchFailed("the body does not match its Content-Encoding") from None

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            FetchFailed: it is truncated.

        """
        if not self._decoder.is_complete():
            raise FetchFailed("the compressed body is truncated")


class _IdentityDecoder:
    @staticmethod
    def decode(data: bytes) -> Iterator[bytes]:
        yield data

    @staticmethod
    def is_complete() -> bool:
        return True


class _ZlibDecoder:
    """Decodes gzip, also of several members, and deflate with and without zlib's header."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._stream = zlib.decompressobj(window)
        self._started = False
        self._members = 1
        self._rest = b""
        """Bytes after a member, too few to tell whether another member begins."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        if not self._started and data:
            self._started = True
            if self._window == _ZLIB_WINDOW and data[0] & 0xF != _ZLIB_METHOD:
                self._stream = zlib.decompressobj(_RAW_WINDOW)
        full = False
        while data or full:
            if self._stream.eof and not (data := self._start_member(data)):
                return
            piece = self._stream.decompress(data, _PIECE_BYTES)
            yield piece
            data = self._stream.unconsumed_tail
            full = len(piece) == _PIECE_BYTES  # the stream may have more output, though it read all input
            if self._stream.eof:
                data, full = self._stream.unused_data, False

    def _start_member(self, rest: bytes) -> bytes:
        """Start another member and return its bytes; anything else is ignored, as in browsers."""
        rest, self._rest = self._rest + rest, b""
        if self._window != _GZIP_WINDOW or not rest.startswith(_GZIP_MAGIC[: len(rest)]):
            self._window = _NO_WINDOW
            return b""
        if len(rest) < len(_GZIP_MAGIC):
            self._rest = rest
            return b""
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise FetchFailed("the compressed body has far too many parts")
        self._stream = zlib.decompressobj(self._window)
        return rest

    def is_complete(self) -> bool:
        return not self._started or self._stream.eof


class _BrotliDecoder:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._started = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        self._started = self._started or bool(data)
        while data or not self._stream.can_accept_more_data():
            if self._stream.is_finished():
                return
            yield self._stream.process(data, output_buffer_limit=_PIECE_BYTES)
            data = b""

    def is_complete(self) -> bool:
        return not self._started or self._stream.is_finished()


def _create_decoder(encoding: str) -> _IdentityDecoder | _ZlibDecoder | _BrotliDecoder:
    if encoding in {"", "identity"}:
        return _IdentityDecoder()
    if encoding in {"gzip", "x-gzip"}:
        return _ZlibDecoder(_GZIP_WINDOW)
    if encoding == "deflate":
        return _ZlibDecoder(_ZLIB_WINDOW)
    if encoding == "br":
        return _BrotliDecoder()
    raise FetchFailed("the body has an unsupported Content-Encoding")
