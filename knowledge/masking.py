"""Mask secrets and personal data in a question by pattern, and by checksum if there is one. Pure.

A pattern matches only what is hardly anything else, because a search needs versions, years, error codes, CVE ids,
public addresses and product names. Names of people, customers and projects have no pattern and stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import groupby, pairwise
from typing import Final

MASK: Final = "…"
"""The replacement of a secret; search engines ignore it."""

_FULL_WIDTH: Final = {ord("\u3000"): " "} | {0xFF00 + place: chr(0x20 + place) for place in range(1, 0x5F)}
"""Full-width forms of input methods to ASCII, one character each, so that places stay the same."""


def mask_secrets(text: str) -> str:
    """Return a text with ``MASK`` for each e-mail address, phone or card number, id, token, key or private address."""
    while (masked := _mask_once(text)) != text:  # text next to a secret may match only now
        text = masked
    return text


def _mask_once(text: str) -> str:
    parts: list[str] = []
    end = 0
    for start, stop in _merge_touching(sorted(_find_secrets(text.translate(_FULL_WIDTH)))):
        parts += [text[end:start], MASK]
        end = stop
    return "".join([*parts, text[end:]])


def _merge_touching(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return sorted spans, merging those that touch each other."""
    merged: list[tuple[int, int]] = []
    for start, stop in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return merged


def _find_secrets(text: str) -> Iterator[tuple[int, int]]:
    for pattern, count_secret in _PATTERNS:
        for match in pattern.finditer(text):
            group = "secret" if "secret" in pattern.groupindex else 0
            start = match.start(group)
            size = count_secret(match[group])
            if size:
                yield start, start + size


# ── Checks: each returns how many characters of a match are secret, 0 for none ───────────────────────────────────────


def _match_any(text: str) -> int:
    return len(text)


def _match_card(text: str) -> int:
    """Accept a number with a valid Luhn checksum (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in reversed(text) if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return len(text) if (sum(digits[::2]) + sum(doubled)) % 10 == 0 else 0


def _match_iban(text: str) -> int:
    """Accept the longest beginning whose remainder is 1 (ISO 13616), because a word may follow it."""
    for size in range(len(text), 14, -1):
        account = re.sub(r"[ -]", "", text[:size]).upper()
        if text[size - 1].isalnum() and len(account) >= 15:  # noqa: PLR2004 - Norway's, the shortest
            number = "".join(str(int(character, 36)) for character in account[4:] + account[:4])
            if int(number) % 97 == 1:
                return size
    return 0


def _match_chinese_id(text: str) -> int:
    """Accept an id whose date of birth exists and whose check character is right (GB 11643)."""
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return 0
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(text[:17]))
    return len(text) if "10X98765432"[total % 11] == text[17].upper() else 0


def _match_phone(text: str, digits: range = range(8, 16)) -> int:
    """Accept a number with so many digits, by default as many as E.164 allows."""
    return len(text) if sum(character.isdigit() for character in text) in digits else 0


def _match_national_phone(text: str) -> int:
    return _match_phone(text, range(9, 13))  # with the leading 0; fewer may be a date


def _match_password(text: str) -> int:
    """Accept a text with letters and digits, as people choose passwords."""
    return len(text) if re.search(r"\d", text) and re.search(r"[A-Za-z]", text) else 0


def _match_random(text: str) -> int:
    """Accept a text with few characters in words, such as base64. Names, paths and camel case are words."""
    bare = text.rstrip("=")
    pieces = [piece for piece in _MARKS.split(bare) if piece]
    if len(pieces) == 1 and len(re.findall(r"\d+", bare)) > _DIGIT_RUNS:
        return len(text)
    changes = sum(1 for _ in groupby(bare, _character_kind)) / len(bare)
    if max(map(len, pieces), default=0) < _PIECE and changes < _CHANGES:
        return 0
    in_words = sum(len(word) for piece in pieces for word in _WORD.findall(piece))
    share = in_words / max(sum(map(len, pieces)), 1)
    return len(text) if share < (_WORD_SHARE if re.search(r"\d", bare) else _WORD_SHARE_WITHOUT_DIGITS) else 0


def _character_kind(character: str) -> str:
    if character.isdigit():
        return "digit"
    if character.isalpha():
        return "capital" if character.isupper() else "small"
    return "mark"


# The thresholds were chosen on generated keys and on tokens from documentation and from Python's libraries.
_MARKS = re.compile(r"[+/_-]+")
_WORD = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{4,}|^[A-Z]{1,3}$|^\d+$|^[a-z]{1,2}$")
_WORD_SHARE = 0.72
_WORD_SHARE_WITHOUT_DIGITS = 0.5
_CHANGES = 0.5
"""Changes of the kind of character, per character. Base64 has 0.65 on average; names of ciphers have less than 0.4."""
_PIECE = 12
"""Characters between marks; the parts of cipher names are shorter."""
_DIGIT_RUNS = 2


def _match_hexadecimal(text: str) -> int:
    return len(text) if any(a.isdigit() != b.isdigit() for a, b in pairwise(text)) else 0


# ── Patterns ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_LD = "[A-Za-z0-9]"
_NAME = "[A-Za-z0-9_]"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_PRIVATE = r"192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])"
_CARD = r"(?<![\d.-])(?:2[2-7]|[3-6]\d)"
_HEX = "[0-9A-Fa-f]"
_KEY_PREFIXES = (
    r"(?:xox[a-z]-|xapp-|sk-|[prs]k_(?:live|test)_|gh[oprsu]_|github_pat_|gl[a-z]{2,4}-|hf_|npm_|pypi-|tvly-|AIza"
    r"|ya29\.|SG\.|dop_v1_|shpat_|whsec_|dckr_pat_|lin_api_)"
)
_BEFORE_SECRETS = (
    r"(?:pass(?:word|wd|phrase)?|pwd|passwort|secret|token|credentials?|(?:api|access|secret|private|account)[_ -]?key"
    r"|密码|口令|密钥|令牌)"
)

_DOTTED = r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,20}"
"""A host, with or without a scheme; the query of its address may contain a secret."""
_PATH = r"(?::\d{1,5})?(?:/[^\s?\x7f-\U0010ffff]{0,200})?"
_IS = r"(?:[=:]|\bis\b|是|为)"
_PHONE_WORDS = r"\b(?:tel|phone|telephone|telefon|mobile|fax|whatsapp)\b|电话|手机|传真|座机"

_PATTERNS: Final[tuple[tuple[re.Pattern[str], Callable[[str], int]], ...]] = tuple(
    (re.compile(pattern, re.ASCII), check)  # ASCII, because Chinese has no blank before a number
    for pattern, check in (
        # People
        (r"[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", _match_any),
        (r"<(?:[@#!]|mailto:|tel:)[^<>\s]{1,200}>", _match_any),  # Slack's mentions
        (rf"(?<!{_NAME})[UWCGDTB](?:\d[A-Z0-9]{{7,9}}|(?=[A-Z0-9]*\d[A-Z]+\d)[A-Z][A-Z0-9]{{7,9}})(?!{_NAME})",
         _match_any),
        # Phones
        (r"(?<![\w+])\+\s?[1-9](?:[ ().\-/\u00a0]{0,3}\d){7,14}(?!\d)", _match_phone),
        (r"(?<!\d)(?<!\d[.-])00[1-9](?:[ \-/]?\d){8,13}(?!\.?\d)", _match_phone),
        (r"(?<!\d)(?<!\d[.-])(?:86[ -]?)?1[3-9]\d(?P<gap>[ -]?)\d{4}(?P=gap)\d{4}(?![.-]?\d)", _match_any),
        (r"(?<![\w.-])0\d{1,4}[ /-]\d{3,4}(?:[ -]?\d{2,4}){1,2}(?![.-]?\w)", _match_national_phone),
        (r"\(0?\d{2,4}\)[ -]?\d{3,4}[ .-]?\d{4}(?!\d)", _match_any),
        (r"(?<![\w.-])[2-9]\d\d(?P<gap>[.-])[2-9]\d\d(?P=gap)\d{4}(?![.-]?\w)", _match_any),
        (rf"(?i:{_PHONE_WORDS})[^\w+]{{0,3}}(?P<secret>\d(?:[ -]?\d){{5,14}})", _match_any),
        # Accounts and ids
        (rf"{_CARD}\d{{11,17}}(?![.-]?\d)", _match_card),
        (rf"{_CARD}\d\d(?P<gap>[ -])\d{{4}}(?P=gap)\d{{4}}(?P=gap)\d{{1,4}}(?:(?P=gap)\d{{3}})?(?!-?\d)", _match_card),
        (r"(?<![\d.-])3[47]\d\d(?P<gap>[ -])\d{6}(?P=gap)\d{5}(?!-?\d)", _match_card),
        (rf"(?<!{_LD})[A-Za-z]{{2}}\d{{2}}(?:[ -]?{_LD}{{4}}){{2,7}}(?:[ -]?{_LD}{{1,3}})?(?!{_LD})", _match_iban),
        (r"(?<![\w-])(?!000|666|9)\d{3}(?P<gap>[- ])(?!00)\d\d(?P=gap)(?!0000)\d{4}(?![\w-])", _match_any),  # US SSN
        (r"(?<!\d)[1-9]\d{5}(?:18|19|20)\d{9}[\dXx](?![\dA-Za-z])", _match_chinese_id),
        # Tokens and keys
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?", _match_any),
        (rf"(?<![A-Za-z0-9]){_KEY_PREFIXES}[A-Za-z0-9_.-]{{11,}}[A-Za-z0-9_-]", _match_password),
        (r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])", _match_any),
        (r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?", _match_any),
        (r"hooks\.slack\.com/(?P<secret>[\w/-]{20,})", _match_any),
        (r"(?<=://)(?P<secret>[^/\s@:]{1,100}:[^/\s@]{1,200})@", _match_any),
        (r"(?i:\b(?:bearer|basic))\s+(?P<secret>[A-Za-z0-9+/._~-]{16,}=*)", _match_password),
        (r"(?i:\bauthorization)\s*:\s*(?i:basic|bearer|digest|token|negotiate)\s+(?P<secret>[!-~]{6,200})",
         _match_any),
        (rf"(?<![\w.-]){_DOTTED}{_PATH}\?(?P<secret>[\w.~%-]{{1,64}}=[!-~]{{1,500}})", _match_any),
        (rf"(?i:{_BEFORE_SECRETS})[\"']?\s*{_IS}\s*[\"']?(?P<secret>[^\s\"',;\x7f-\U0010ffff]{{6,200}})",
         _match_password),
        (rf"(?<![0-9A-Za-z]){_HEX}{{8}}-?(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?![0-9A-Za-z])", _match_any),  # UUID
        (rf"(?<![0-9A-Za-z]){_HEX}{{32,}}(?![0-9A-Za-z])", _match_hexadecimal),
        (r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{24,}={0,2}(?![A-Za-z0-9+/_=-])", _match_random),
        # Private addresses, but not 127.0.0.1, which every machine has
        (rf"(?<![\w.])(?:10(?:\.{_BYTE})|{_PRIVATE})(?:\.{_BYTE}){{2}}(?!\.?\d)", _match_any),
        (rf"(?i:(?<![\w:])(?:f[cd]{_HEX}{{2}}|fe[89ab]{_HEX})(?::{{1,2}}{_HEX}{{1,4}}){{1,7}}(?:::)?(?![\w:]))",
         _match_any),
    )
)  # fmt: skip
