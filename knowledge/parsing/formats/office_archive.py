"""Office files are archives: what is checked before any of their parts is read."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Final

from knowledge.errors import DocumentEncrypted, DocumentTooLarge, ParseError

MAX_UNPACKED_BYTES = 400_000_000
"""Of all parts of an Office file together."""

MAX_PART_BYTES = 150_000_000
"""Of its largest part."""

BROKEN: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError,
    SyntaxError, KeyError, ValueError, AttributeError, TypeError, IndexError,
)  # fmt: skip
"""What reading an archive raises whose parts are damaged or packed oddly, and what the libraries for Office files raise
on those that break their assumptions; XML errors are ``SyntaxError``s.
"""
_LOCKED: Final = 1


def check_package(data: bytes, document: str) -> None:
    """Refuse an archive that is broken or would unpack to more than is read; its own directory tells.

    A directory that lies is found out later: no more is unpacked of a part than it says.

    Raises:
        DocumentTooLarge: it would unpack to too much (a "zip bomb").
        DocumentEncrypted: the archive itself is behind a password.
        ParseError: it is broken.

    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise make_broken_error(document) from error
    if any(part.flag_bits & _LOCKED for part in parts):
        raise DocumentEncrypted(f"{document} needs a password. Save a copy without one, or leave it out.")
    sizes = [part.file_size for part in parts]
    if sum(sizes) > MAX_UNPACKED_BYTES or max(sizes, default=0) > MAX_PART_BYTES:
        raise DocumentTooLarge(
            f"{document} unpacks to {sum(sizes) / 1e6:,.0f} MB, more than the {MAX_UNPACKED_BYTES / 1e6:,.0f} MB "
            "that are read. Split it, or leave it out."
        )


def make_broken_error(document: str) -> ParseError:
    """Return the error for an Office file that cannot be opened."""
    return ParseError(f"{document} is a broken Office file. Open it, save it again, and sync the source once more.")
