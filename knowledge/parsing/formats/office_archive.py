"""Check an Office archive before any of its parts is read."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from knowledge.errors import DocumentEncrypted, DocumentTooLarge, ParseError

MAX_UNPACKED_BYTES = 400_000_000
MAX_PART_BYTES = 150_000_000
_MAX_RATIO: Final = 100
"""A part that unpacks to more times its size is made to fill memory. Sheets with equal rows reach 40."""
_RATIO_FROM_BYTES: Final = 10_000_000
_NO_MEMORY: Final = 2  # the code of libxml2 for too little memory
_ARCHIVE_ERRORS: Final[tuple[type[Exception], ...]] = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError,
    SyntaxError, KeyError, ValueError, AttributeError, TypeError, IndexError,
)  # fmt: skip
"""Errors of archives with damaged or unusual parts, and of the Office libraries for files that break their assumptions.
XML errors are ``SyntaxError``s."""
_ENCRYPTED_FLAG: Final = 1


@contextmanager
def reading_package(data: bytes, document: str, *library_errors: type[Exception]) -> Iterator[None]:
    """Refuse an archive that is too large when unpacked, according to its directory, or that a library finds broken.

    If the directory lies, reading stops at the size that it states. ``library_errors`` are the library's own.

    Raises:
        DocumentTooLarge: it would unpack to too much (a "zip bomb").
        DocumentEncrypted: the archive has a password.
        ParseError: it is broken.

    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise _make_broken_error(document) from error
    if any(part.flag_bits & _ENCRYPTED_FLAG for part in parts):
        raise DocumentEncrypted(f"{document} needs a password. Save a copy without one, or exclude it.")
    sizes = [part.file_size for part in parts]
    if sum(sizes) > MAX_UNPACKED_BYTES or max(sizes, default=0) > MAX_PART_BYTES or any(map(_is_bomb, parts)):
        raise _make_too_large_error(document, f"unpacks to {sum(sizes) / 1e6:,.0f} MB")
    try:
        yield
    except MemoryError as error:
        raise _make_too_large_error(document, "needs too much memory") from error
    except (*_ARCHIVE_ERRORS, *library_errors) as error:
        if isinstance(error, SyntaxError) and getattr(error, "code", None) == _NO_MEMORY:
            raise _make_too_large_error(document, "needs too much memory") from error
        raise _make_broken_error(document) from error


def _is_bomb(part: zipfile.ZipInfo) -> bool:
    return part.file_size > max(_RATIO_FROM_BYTES, _MAX_RATIO * part.compress_size)


def _make_too_large_error(document: str, why: str) -> DocumentTooLarge:
    return DocumentTooLarge(f"{document} is too large when unpacked: it {why}. Split it, or exclude it.")


def _make_broken_error(document: str) -> ParseError:
    return ParseError(f"{document} is a broken Office file. Open it, save it again, then sync the source.")
