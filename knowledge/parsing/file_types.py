"""Detect the type of a file: by its content, then by its source's media type, then by its name."""

from __future__ import annotations

import re
import struct
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from knowledge.errors import DocumentEncrypted, ParseError, UnsupportedFormat
from knowledge.interfaces import PICTURE_KINDS
from knowledge.parsing.decoding import has_unicode_mark, looks_binary


class Format(StrEnum):
    """The formats that Kvasir reads."""

    MARKDOWN = "markdown"
    HTML = "html"
    TEXT = "text"
    TABLE = "table"
    PDF = "pdf"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    PICTURE = "picture"


_BY_SUFFIX: Final = {
    ".md": Format.MARKDOWN,
    ".mdx": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
    ".csv": Format.TABLE,
    ".tsv": Format.TABLE,
    ".tab": Format.TABLE,
    ".pdf": Format.PDF,
    ".docx": Format.DOCX,
    ".docm": Format.DOCX,
    ".pptx": Format.PPTX,
    ".pptm": Format.PPTX,
    ".xlsx": Format.XLSX,
    ".xlsm": Format.XLSX,
}

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_BY_MEDIA_TYPE: Final = {
    "text/markdown": Format.MARKDOWN,
    "text/x-markdown": Format.MARKDOWN,
    "text/html": Format.HTML,
    "application/xhtml+xml": Format.HTML,
    "text/csv": Format.TABLE,
    "text/tab-separated-values": Format.TABLE,
    "application/pdf": Format.PDF,
    f"{_OFFICE}wordprocessingml.document": Format.DOCX,
    f"{_OFFICE}presentationml.presentation": Format.PPTX,
    f"{_OFFICE}spreadsheetml.sheet": Format.XLSX,
}

_PACKAGES: Final = {Format.DOCX, Format.PPTX, Format.XLSX}
_BY_PACKAGE_PART: Final = (
    (b"word/document", Format.DOCX),
    (b"ppt/presentation", Format.PPTX),
    (b"xl/workbook", Format.XLSX),
)

_TEXTS: Final = frozenset({"rst", "adoc", "asciidoc", "json", "yaml", "yml", "xml", "toml", "log"})
"""Suffixes of plain text that people use in filters."""

_PDF_MAGIC, _PDF_MAGIC_WITHIN = b"%PDF-", 1024
_PICTURE_MAGIC: Final = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF.{4}WEBP|BM.{4}\0{4}.{4}[\x0c-\x7c]\0{3}", re.DOTALL
)
_ZIP_MAGIC = b"PK\x03\x04"
_RTF_MAGIC = b"{\\rtf"
_OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_HTML_STARTS = (b"<!doctype html", b"<html")
_SNIFFED_BYTES = 4096
MOST_PICTURES: Final = 1_000


def detect_format(document: str, media_type: str | None, data: bytes) -> Format:
    """Return the format of a document.

    Raises:
        UnsupportedFormat: Kvasir does not read this format.
        DocumentEncrypted: an Office file has a password.
        ParseError: the content does not fit the name.

    """
    named = _guess_by_name(document, media_type)
    if _PDF_MAGIC in data[:_PDF_MAGIC_WITHIN]:
        return Format.PDF
    if _PICTURE_MAGIC.match(data):
        return Format.PICTURE
    if data.startswith(_ZIP_MAGIC):
        return _detect_package(document, named, data)
    if data.startswith(_OLE_MAGIC):
        raise _make_ole_error(document, data)
    if named in _PACKAGES or named is Format.PDF:
        raise ParseError(
            f"{document} is not a {named.value.upper()} file, despite its name. "
            "Open it, save it again, then sync the source."
        )
    return _detect_textual(document, named, data)


def count_pictures(data: bytes) -> int:
    """Return how many pictures a file has: the pages of a TIFF, of which more than ``MOST_PICTURES`` do not count."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    place, pages = (4, 0) if order else (0, 1)
    try:
        while order and pages <= MOST_PICTURES and (place := struct.unpack_from(f"{order}I", data, place)[0]):
            pages += 1
            place += 2 + 12 * struct.unpack_from(f"{order}H", data, place)[0]
    except struct.error:
        pass  # The file is cut, and its reader says so.
    return max(1, pages)


def name_kind(form: Format, document: str) -> str:
    """Return a format's usual name, in lower case without a dot. The suffix may name plain text more exactly."""
    suffix = PurePosixPath(document).suffix.lower().removeprefix(".")
    if form is Format.TEXT:
        return suffix if suffix in _TEXTS else "txt"
    if form is Format.PICTURE:
        return suffix if suffix in PICTURE_KINDS else form.value
    return {Format.MARKDOWN: "md", Format.TABLE: "csv"}.get(form, form.value)


def _guess_by_name(document: str, media_type: str | None) -> Format | None:
    by_type = _BY_MEDIA_TYPE.get((media_type or "").partition(";")[0].strip().lower())
    return by_type or _BY_SUFFIX.get(PurePosixPath(document).suffix.lower())


def _detect_package(document: str, named: Format | None, data: bytes) -> Format:
    found = [held for part, held in _BY_PACKAGE_PART if part in data]
    if named in _PACKAGES and (named in found or not found):
        return named  # Otherwise the parts of an embedded file would be found too.
    if found:
        return found[0]
    if PurePosixPath(document).suffix.lower() in {"", ".zip"}:
        raise UnsupportedFormat(f"{document} is an archive. Unpack it, or exclude it from the source.")
    raise _make_unsupported_error(document)


def _make_unsupported_error(document: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{document} has a format that Kvasir does not read. Save it as PDF, DOCX or text, or exclude it."
    )


def _make_ole_error(document: str, data: bytes) -> ParseError:
    if _ENCRYPTED_PACKAGE in data:
        return DocumentEncrypted(f"{document} needs a password. Save a copy without one, or exclude it.")
    return UnsupportedFormat(
        f"{document} is in an Office format from before 2007. Save it as DOCX, PPTX, XLSX or PDF, then sync again."
    )


def _detect_textual(document: str, named: Format | None, data: bytes) -> Format:
    if data.startswith(_RTF_MAGIC) or looks_binary(data):
        raise _make_unsupported_error(document)
    if named is None and not has_unicode_mark(data):
        start = data[:_SNIFFED_BYTES].lstrip().lower()
        return Format.HTML if start.startswith(_HTML_STARTS) else Format.TEXT
    return named or Format.TEXT
