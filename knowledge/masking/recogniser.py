"""Find secrets and personal data by pattern, checksum, words of context and lists of names. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from knowledge.masking.context import find_matches, list_windows
from knowledge.masking.findings import PERSONAL, Finding, Kind, Rule
from knowledge.masking.identifiers import IDENTIFIERS
from knowledge.masking.names import NameIndex
from knowledge.masking.secrets import SECRETS

MASK: Final = "…"
"""What stands in the place of what is masked; search engines ignore it."""

ROUNDS: Final = 8  # text next to a finding may match only once that is masked
_EVERY: Final = frozenset(Kind)
_GAP = re.compile(r"[ \n\0]{2,}|\0")
_BY_CATEGORY: Final = {"Cc": "\0", "Cf": "\0", "Pd": "-", "Zs": " ", "Zl": "\n", "Zp": "\n"}


class _PlainCharacters(dict[int, str]):
    """What the rules read for a character, so that what looks alike is alike; NUL for what nobody sees."""

    def __missing__(self, code: int) -> str:
        character, category = chr(code), unicodedata.category(chr(code))
        form = unicodedata.normalize("NFKC", character)
        if len(form) > 1 or not form.isascii() or category == "No":
            form = character
        return self.setdefault(code, _BY_CATEGORY.get(category) or str(unicodedata.decimal(character, "")) or form)


_PLAIN: Final = _PlainCharacters({9: " ", 0x2212: "-", **dict.fromkeys(map(ord, "\n\v\f\r\x1c\x1d\x1e\x85"), "\n")})


class Recogniser:
    """Finds and masks. Safe to share between threads and tasks.

    Args:
        names: people who are found by name.
        record_numbers: expressions of the operator (``compile_record_number``).

    """

    def __init__(self, names: Iterable[str] = (), record_numbers: Sequence[re.Pattern[str]] = ()) -> None:
        self._names = NameIndex(names)
        self._rules = (*IDENTIFIERS, *(Rule(Kind.RECORD, one) for one in record_numbers), *SECRETS)

    def find(self, text: str, kinds: Collection[Kind] = _EVERY, names: NameIndex | None = None) -> list[Finding]:
        """Return what is found, by places; findings that touch become one. ``names`` are found, too."""
        plain = text.translate(_PLAIN)
        findings: list[Finding] = []
        for unseen in ("", " ") if "\0" in plain else ("",):  # it may stand in a word, or between two
            line, places = _squeeze_gaps(plain, unseen)
            findings += [
                Finding(places[one.start], places[one.end - 1] + 1, one.kind)
                for one in self._list_findings(line, kinds, names)
            ]
        return _merge_touching(sorted(findings, key=lambda one: (one.start, -one.end)))

    def mask(
        self, text: str, kinds: Collection[Kind] = _EVERY, names: NameIndex | None = None, mask: str = MASK
    ) -> str:
        """Return a text with a mask for each finding."""
        for _ in range(ROUNDS):
            parts: list[str] = []
            end = 0
            for one in self.find(text, kinds, names):
                parts += [text[end : one.start], mask]
                end = one.end
            masked = "".join([*parts, text[end:]])
            if masked == text:
                break
            text = masked
        return text

    def _list_findings(self, text: str, kinds: Collection[Kind], names: NameIndex | None) -> Iterator[Finding]:
        present, windows = set(text), list_windows(text)
        for rule in self._rules:
            if rule.kind in kinds and not (rule.hint and present.isdisjoint(rule.hint)):
                for start, end in find_matches(rule, text, windows):
                    yield Finding(start, end, rule.kind)
        if Kind.PERSON in kinds:
            for index in (self._names, names):
                for start, end in index.find_names(text) if index is not None else ():
                    yield Finding(start, end, Kind.PERSON)


DEFAULT_RECOGNISER: Final = Recogniser()


def mask_secrets(text: str) -> str:
    """Return a text with ``MASK`` for all secrets and personal data that need no configuration to be found."""
    return DEFAULT_RECOGNISER.mask(text)


def find_personal_data(text: str, names: Iterable[str] = ()) -> list[Finding]:
    """Return the personal data in a text, without secrets; ``names`` are found, too."""
    return DEFAULT_RECOGNISER.find(text, PERSONAL, NameIndex(names))


def _squeeze_gaps(text: str, unseen: str) -> tuple[str, Sequence[int]]:
    """Return a text with one character for each run of blanks, and the places at which its characters stood.

    ``unseen`` stands for characters that nobody sees.
    """
    parts: list[str] = []
    places: list[int] = []
    end = 0
    for gap in _GAP.finditer(text):
        blank = next((one for one in "\n " if one in gap[0]), unseen)
        parts += [text[end : gap.start()], blank]
        places += [*range(end, gap.start()), *[gap.start()] * len(blank)]
        end = gap.end()
    return "".join([*parts, text[end:]]), [*places, *range(end, len(text))]


def _merge_touching(findings: Sequence[Finding]) -> list[Finding]:
    """Return sorted findings, merging those that touch; the longest one names the kind."""
    merged: list[Finding] = []
    longest = 0
    for one in findings:
        size = one.end - one.start
        if merged and one.start <= merged[-1].end:
            before = merged[-1]
            kind = one.kind if size > longest else before.kind
            longest = max(size, longest)
            merged[-1] = Finding(before.start, max(before.end, one.end), kind)
        else:
            merged.append(one)
            longest = size
    return merged
