"""Rules for tokens, keys and passwords, and for what outsiders must not see of a company's machines.

A pattern matches only what is hardly anything else, because a search needs versions, years, error codes, CVE ids,
public addresses and product names.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Final

from knowledge.masking.findings import Kind, Rule

# ── Checks: each returns how many characters of a match are secret, 0 for none ───────────────────────────────────────


_STANDS_FOR = re.compile(
    r"[\"'\\]{0,4}(?:\$\{?[A-Z][A-Z0-9_]{2,80}\}?[\"'\\]{0,6}$|\$\{\w{1,80}\}|<[\w -]{1,80}>|\*{3}|//\w|your[-_]"
    r"|(?i:base64)$)"
)
"""How examples look that stand for a secret, such as ``$API_KEY`` or ``your-key``."""


def _match_value(text: str) -> int:
    """Accept what stands where a secret belongs, if it is no example of one."""
    return 0 if _STANDS_FOR.match(text) else len(text)


def _match_password(text: str) -> int:
    """Accept a text with letters and digits, as people choose passwords."""
    return _match_value(text) if re.search(r"\d", text) and re.search(r"[A-Za-z]", text) else 0


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
_PIECE = 12  # characters between marks; the parts of cipher names are shorter
_DIGIT_RUNS = 2


def _match_aws_secret(text: str) -> int:
    """Accept a random text with capitals, small letters and digits; a commit's hash has no capitals."""
    kinds = {_character_kind(character) for character in text}
    return _match_random(text) if kinds >= {"digit", "capital", "small"} else 0


def _match_credentials(text: str) -> int:
    """Accept base64 of a name and a password, as HTTP's scheme Basic has it."""
    try:
        return len(text) if b":" in base64.b64decode(text + "=" * (-len(text) % 4), validate=True) else 0
    except (binascii.Error, ValueError):
        return 0


def _match_hexadecimal(text: str) -> int:
    return len(text) if any(a.isdigit() != b.isdigit() for a, b in pairwise(text)) else 0


# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_NAME = "[A-Za-z0-9_]"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_PRIVATE = r"192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])"
_HEX = "[0-9A-Fa-f]"
_KEY_PREFIXES = (
    r"(?:sk-|[prs]k_(?:live|test)_|gh[oprsu]_|github_pat_|gl[a-z]{2,4}-|hf_|npm_|pypi-|tvly-|AIza"
    r"|ya29\.|SG\.|dop_v1_|shpat_|whsec_|dckr_pat_|lin_api_)"
)
_BEFORE_SECRETS = (
    r"(?:pass(?:word|wd|phrase)?|pwd|passwort|secret|token|credentials?|(?:api|access|secret|private|account)[_ -]?key"
    r"|密码|口令|密钥|令牌)"
)
_PARAMETERS = r"(?:ticket|token|access_token|refresh_token|sig|signature|secret|password|api_?key)"
_DOTTED = r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,20}"
"""A host, with or without a scheme; the query of its address may contain a secret."""
_PATH = r"(?::\d{1,5})?(?:/[^\s?\x7f-\U0010ffff]{0,200})?"
_PRIVATE_KEY = "[A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
_IS = r"(?:(?:\bis|是|为)?\s{0,2}[=:]|\bis\b|是|为)"


def _make_rule(kind: Kind, pattern: str, check: Callable[[str], int] = len, hint: str = "") -> Rule:
    return Rule(kind, re.compile(pattern, re.ASCII), check, hint)  # ASCII: Chinese has no blank before a number


_SECRET_RULES = (
    (rf"-----BEGIN {_PRIVATE_KEY}(?:[^-]*(?:-(?!----)[^-]*)*-----END {_PRIVATE_KEY}|[^-]*)", len, "-"),
    (r"x(?:ox[a-z]|app)-[A-Za-z0-9%-]{8,}", len, "x"),
    (rf"(?<![A-Za-z0-9]){_KEY_PREFIXES}[A-Za-z0-9_.-]{{11,}}[A-Za-z0-9_-]", _match_password, ""),
    (r"(?<![A-Za-z0-9])kvasir_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", len, "k"),
    (r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])", len, "A"),
    (r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])", _match_aws_secret, ""),
    (r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?", len, "e"),
    (r"hooks\.slack(?:-gov)?\.com/(?P<secret>[\w/-]{20,})", len, "/"),
    (r"(?<=://)(?P<secret>[^/\s@:]{0,100}:[^/\s]{1,200})@", _match_value, "@"),
    (r"(?<!\S)(?:-u|--user)[ =](?P<secret>[^\s:]{1,100}:[^\s\"']{3,200})", _match_password, "-"),  # curl's
    (r"(?i:\bbearer)\s+(?P<secret>[A-Za-z0-9+/._~-]{8,}=*)", _match_password, " "),
    (r"(?i:\bbasic)\s+(?P<secret>[A-Za-z0-9+/._~-]{16,}=*)", _match_password, " "),
    (r"(?i:\bbasic)\s+(?P<secret>[A-Za-z0-9+/]{6,}={0,2})", _match_credentials, " "),
    (r"(?i:\bauthorization)[\"']?\s*[:=]\s*[\"']?(?i:basic|bearer|digest|token|negotiate)\s+(?P<secret>[!-~]{6,200})",
     _match_value, ":="),
    (r"(?i:\bauthorization)[\"']?\s*[:=]\s*[\"']?(?:[A-Za-z-]{2,20}\s+)?(?P<secret>[!-~]{12,200})",
     _match_password, ":="),
    (rf"(?<=[?&]){_PARAMETERS}=(?P<secret>[^&\s'\"\x7f-\U0010ffff]{{3,500}})", _match_value, "="),
    (rf"(?i:{_BEFORE_SECRETS})[\"']?\s*{_IS}\s*[\"'“”‘’「『]?(?P<secret>[^\s\"',;\x7f-\U0010ffff]{{6,200}})",
     _match_password, ""),
)  # fmt: skip
_INTERNAL_RULES = (
    (r"<(?:[@#!]|mailto:|tel:)[^<>\s]{1,200}>", len, "<"),  # Slack's mentions
    (rf"(?<!{_NAME})[UWCGDTB](?:\d[A-Z0-9]{{7,9}}|(?=[A-Z0-9]*\d[A-Z]+\d)[A-Z][A-Z0-9]{{7,9}})(?!{_NAME})",
     len, "UWCGDTB"),
    (rf"(?<![\w.-]){_DOTTED}{_PATH}\?(?P<secret>[\w.~%-]{{1,64}}=[!-~]{{1,500}})", len, "?"),
    (rf"(?<![0-9A-Za-z]){_HEX}{{8}}-?(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?![0-9A-Za-z])", len, "-"),  # UUID
    (rf"(?<![0-9A-Za-z]){_HEX}{{32,}}(?![0-9A-Za-z])", _match_hexadecimal, ""),
    (r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{24,}={0,2}(?![A-Za-z0-9+/_=-])", _match_random, ""),
    # Private addresses, but not 127.0.0.1, which every machine has
    (rf"(?<![\w.])(?:10(?:\.{_BYTE})|{_PRIVATE})(?:\.{_BYTE}){{2}}(?!\.?\d)", len, "."),
    (rf"(?i:(?<![\w:])(?:f[cd]{_HEX}{{2}}|fe[89ab]{_HEX})(?::{{1,2}}{_HEX}{{1,4}}){{1,7}}(?:::)?(?![\w:]))", len, ":"),
)  # fmt: skip

SECRETS: Final[tuple[Rule, ...]] = (
    *(_make_rule(Kind.SECRET, *one) for one in _SECRET_RULES),
    *(_make_rule(Kind.INTERNAL, *one) for one in _INTERNAL_RULES),
)
