"""Find what a question names exactly: error codes, tickets, versions, file names, flags, functions. Pure.

Similarity is not enough for these: E-1043 does not help a question about E-1042. A passage must have the whole name, in
any case, with any separators between its parts. So ``values.yaml`` is not in ``prod-values.yaml``, and 3.2 is not in
3.2.1.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from knowledge.interfaces import Candidate

_WORD: Final = "[A-Za-z0-9_]"
_SUFFIXES: Final = (
    "cfg|conf|csv|css|docx|env|go|html|ini|jar|java|js|json|key|lock|log|lua|md|pdf|pem|php|pptx|properties|proto|py|"
    "rb|rs|service|sh|so|sql|toml|ts|txt|xlsx|xml|ya?ml"
)

_TOKEN = re.compile(rf"(?<!{_WORD})(?:--)?{_WORD}+(?:(?:::|[-./\\]){_WORD}+)*(?!{_WORD})")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+|[\w.+-]{1,64}@\S+", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})|\d{1,3}(?:\.\d{1,3}){3}")
"""Dates and network addresses look like versions."""

_CODE = re.compile(
    r"[A-Z][A-Z0-9]{0,11}(?:[-_][A-Z]{1,8})?[-_]?\d{2,}(?:[-_]\d+)*[A-Z]?|[a-z]{1,12}[-_]\d{3,}|0[xX][0-9A-Fa-f]{4,}"
)
_VERSION = re.compile(r"[vV]\d+(?:\.\d+)+(?:-[A-Za-z0-9.]+)?|\d+(?:\.\d+){2,}(?:-[A-Za-z0-9.]+)?")
_FLAG = re.compile(r"--[A-Za-z][\w-]+")
_SNAKE = re.compile(r"_*[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+_*")
_CAMEL = re.compile(r"[a-z]{2,}(?:[A-Z][a-z0-9]+)+|(?:[A-Z][a-z0-9]+){2,}(?:Error|Exception|Warning)")
_FILE = re.compile(rf"(?:[\w-]+\.)+(?:{_SUFFIXES})")
_PATH = re.compile(rf"[\w.-]+(?:[/\\][\w.-]+)*[/\\](?:[\w-]+\.)+(?:{_SUFFIXES})|[\w.-]+(?:[/\\][\w.-]+){{2,}}")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::)[A-Za-z_]\w*){2,}")
_SHAPES: Final = (
    (_CODE, True),
    (_VERSION, False),
    (_FLAG, True),
    (_SNAKE, True),
    (_CAMEL, False),
    (_FILE, False),
    (_PATH, False),
    (_DOTTED, False),
)
_LONGEST: Final = 120
"""Characters of a name. A longer one is pasted text."""
_MOST: Final = 8
"""Names of one question. A pasted log has hundreds, and the question is about none of them."""


EXACT_WEIGHTS = {True: 1.0, False: 0.4}
"""What a passage gains at most, of a score of 1, by having all exact names of the question, by whether a name is
telling. A telling name beats any similarity. A file name or a version helps less, because it may be the asker's own."""

MISSING_NAME_TRUST = 0.25
"""The remaining share of the confidence if no passage has a name that only documents with it can explain."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """An exact name in a question."""

    name: str
    telling: bool
    """Whether documents without it cannot answer. A version or a file may be the asker's own."""
    part: str
    """Its longest run of letters and digits, folded, which occurs in every text that has the name."""
    pattern: re.Pattern[str]

    def occurs_in(self, folded: str) -> bool:
        """Return whether a text from ``fold_text`` has the whole name."""
        return self.part in folded and self.pattern.search(folded) is not None


def find_identifiers(question: str) -> tuple[Identifier, ...]:
    """Return the exact names of a question, each once, or none if there are very many."""
    text = _ADDRESS.sub(" ", unicodedata.normalize("NFKC", question))
    names: dict[str, Identifier] = {}
    for match in _TOKEN.finditer(text):
        token = match.group()
        if len(token) > _LONGEST or _DATE.fullmatch(token):
            continue
        shape = next((shape for shape in _SHAPES if shape[0].fullmatch(token)), None)
        if shape is not None:
            names.setdefault(token.casefold(), _make_identifier(token, *shape))
    return tuple(names.values()) if len(names) <= _MOST else ()


def fold_text(text: str) -> str:
    """Return a text in the form in which identifiers are searched."""
    return unicodedata.normalize("NFKC", text).casefold()


def weigh_exact_matches(candidates: Sequence[Candidate], names: Sequence[Identifier]) -> tuple[dict[str, float], float]:
    """Return the gain of each candidate by the names that it has, and the remaining share of the confidence.

    Gains are by the candidates' ids; those without one are left out. A name is worth more if fewer candidates have it.
    The share is ``MISSING_NAME_TRUST`` if no candidate has a telling name, else 1.

    A name that occurs anywhere in the scope is among the candidates, because the lexical leg ranks rare terms first.
    """
    if not names or not candidates:
        return {}, 1.0
    texts = {one.chunk.id: fold_text(one.chunk.searchable_text) for one in candidates}
    holding = {name.name: {id_ for id_, text in texts.items() if name.occurs_in(text)} for name in names}
    gains: dict[str, float] = {}
    for name in names:
        ids = holding[name.name]
        gain = EXACT_WEIGHTS[name.telling] / len(names) * (1 - len(ids) / len(candidates))
        gains.update({id_: gains.get(id_, 0.0) + gain for id_ in ids})
    absent = any(name.telling and not holding[name.name] for name in names)
    return gains, MISSING_NAME_TRUST if absent else 1.0


def _make_identifier(token: str, shape: re.Pattern[str], telling: bool) -> Identifier:  # noqa: FBT001 - a row of _SHAPES
    name = token.casefold().lstrip("-")
    name = name.removeprefix("v") if shape is _VERSION else name
    parts = re.findall(r"[a-z]+|[0-9]+", name) if shape is _CODE else re.findall(r"[a-z0-9]+", name)
    return Identifier(token, telling, max(parts, key=len), _compile_pattern(name, shape, parts))


def _compile_pattern(name: str, shape: re.Pattern[str], parts: Sequence[str]) -> re.Pattern[str]:
    if shape is _VERSION:
        return re.compile(
            rf"(?<![0-9])(?<![0-9]\.){re.escape(name.removeprefix('v'))}(?![0-9])(?!\.[0-9])(?!-(?:rc|alpha|beta))"
        )
    if shape in {_FILE, _PATH}:
        return re.compile(rf"(?<![a-z0-9_])(?<![a-z0-9_][-.]){re.escape(name)}(?![a-z0-9_])(?![-.][a-z0-9_])")
    if shape is _CODE:
        joined = "[-_ ]?".join(map(re.escape, parts))
        return re.compile(rf"(?<![a-z0-9])(?<![a-z0-9][-_]){joined}(?![a-z0-9])(?![-_.][0-9])")
    loose = re.escape(name).replace("_", "[-_]").replace(r"\-", "[-_]")
    return re.compile(rf"(?<![a-z0-9_]){loose}(?![a-z0-9_])")
