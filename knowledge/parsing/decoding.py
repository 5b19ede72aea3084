"""Decode bytes to text: marks and declarations first, then UTF-8, then statistics. Never fails on bad bytes."""

from __future__ import annotations

import codecs
import re
from typing import Final

import charset_normalizer

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 65_536
_MAX_BROKEN = 0.1
"""The most broken sequences per character outside ASCII with which a text counts as damaged UTF-8."""
_COMMON_HAN = 0.7
"""The share of two-byte characters in GB2312's common rows from which a text counts as Chinese."""

_BEYOND_HANGUL = 0.15
"""The share of lead bytes after those of EUC-KR's Hangul, whose common rows overlap GB2312's."""
_WESTERN_LETTERS = "àáâãäåæçèéêëìíîïñòóôõöøœùúûüýÿßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜÝŸ"
_WESTERN = frozenset([*map(chr, range(0x80)), *_WESTERN_LETTERS, *"¡¿«»“”„‘’‚–—…•€£§°·©®™\u00a0"])

_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*+=\s*+["']?\s*+([\w.:-]{1,40})""", re.IGNORECASE)
_META_WITHIN = 4096
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_LINE_ENDS = re.compile(r"\r\n?|\x85|\u2028")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")


def has_unicode_mark(data: bytes) -> bool:
    """Return whether the data begins with a byte order mark."""
    return any(data.startswith(mark) for mark, _ in _MARKS)


def looks_binary(data: bytes) -> bool:
    """Return whether the data has NUL bytes that are not part of UTF-16 or UTF-32."""
    return b"\0" in data and not has_unicode_mark(data) and _detect_unmarked_utf16(data) is None


def decode_text(data: bytes, *, media_type: str | None = None, html: bool = False) -> str:
    """Return the text with line feeds and without control characters. Bad bytes become U+FFFD."""
    text = _decode_bytes(data, _find_declared_encoding(data, media_type, html=html))
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))


def _find_declared_encoding(data: bytes, media_type: str | None, *, html: bool) -> str | None:
    declaration = _CHARSET.search(media_type or "")
    if declaration:
        return _find_codec(declaration.group(1))
    meta = _META_CHARSET.search(data[:_META_WITHIN]) if html else None
    return _find_codec(meta.group(1).decode("ascii")) if meta else None


def _find_codec(charset: str) -> str | None:
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        return None
    # The Web reads these labels as their supersets. Codecs that are no charsets (rot13, zlib) are not text.
    supersets = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252", "ascii": "utf-8"}
    return supersets.get(name, name) if codecs.lookup(charset)._is_text_encoding else None  # noqa: SLF001


def _decode_bytes(data: bytes, declared: str | None) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    for candidate in (declared, _detect_unmarked_utf16(data) if b"\0" in data else None, "utf-8"):
        text = _decode_strictly(data, candidate)
        if text is not None:
            return text
    return data.decode(_guess_encoding(data), "replace")


def _decode_strictly(data: bytes, encoding: str | None) -> str | None:
    try:
        return data.decode(encoding) if encoding else None
    except UnicodeError:
        return None


def _guess_encoding(data: bytes) -> str:
    sample = data[:_SAMPLE_BYTES]
    if _is_damaged_utf8(sample):
        return "utf-8"
    if _is_common_chinese(sample):
        return "gb18030"
    if set(sample.decode("cp1252", "replace")) <= _WESTERN:
        return "cp1252"
    best = charset_normalizer.from_bytes(sample).best()
    return best.encoding if best else "utf-8"


def _detect_unmarked_utf16(data: bytes) -> str | None:
    """Recognise UTF-16 without a mark by the NULs next to ASCII characters."""
    sample = data[:_SAMPLE_BYTES]
    pairs = len(sample) // 2
    if not pairs:
        return None
    for encoding, high, low in (("utf-16-le", sample[1::2], sample[::2]), ("utf-16-be", sample[::2], sample[1::2])):
        # At least blanks and line ends are ASCII in any text, and NUL is rarely the other byte of a character.
        if high.count(0) > pairs // 20 and low.count(0) <= pairs // 200:
            text = sample[: 2 * pairs].decode(encoding, "replace")
            if "\0" not in text and text.count("\ufffd") <= pairs // 100:
                return encoding
    return None


def _is_damaged_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    whole = sum(1 for character in text if character > "\x7f") - broken
    return broken <= _MAX_BROKEN * whole


def _is_common_chinese(sample: bytes) -> bool:
    """Recognise GB18030 by its two-byte characters, because most Chinese text uses the rows of common characters."""
    text = sample.decode("gb18030", "replace")
    if text.count("\ufffd") > 1:
        return False
    leads = [_find_lead_byte(character) for character in text if character > "\x7f"]
    common = [lead for lead in leads if lead in _COMMON_LEADS]
    beyond = sum(1 for lead in common if lead > _LAST_HANGUL_LEAD)
    return len(common) >= max(1.0, _COMMON_HAN * len(leads)) and beyond >= _BEYOND_HANGUL * len(common)


_LAST_HANGUL_LEAD = 0xC8
_COMMON_LEADS = frozenset([0xA1, 0xA3, *range(0xB0, 0xD8)])
"""GB2312's rows of punctuation, full-width forms and the 3 755 most common characters."""


def _find_lead_byte(character: str) -> int:
    """Return the lead byte of a GB2312 character, 0 for any other."""
    encoded = character.encode("gb18030", "replace")
    return encoded[0] if len(encoded) == 2 and encoded[1] >= 0xA1 else 0  # noqa: PLR2004 - GB2312's trail bytes
