"""Words near a number that tell what it is: no checksum tells a tax id from the ten digits of an order. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from knowledge.masking.findings import Rule

_BEFORE_CHARS: Final = 60
_AFTER_CHARS: Final = 24
_BREAK = re.compile(r"[\d…\n。！？；;]|[.!?]\s+(?=[A-Z\u3400-\u9fff])")
"""Words before another number, a mask or the end of a sentence say nothing about the number after it."""
_NUMBER = re.compile(r"\d(?:[^\d\n]{0,3}\d){3,}")
_AROUND_CHARS: Final = 40  # as far as a date or an account reaches from four digits of it
_LISTS = re.compile(r"\s{0,3}(?:[,;/&、，]|and|or|und|oder|和|与|及)\s{0,3}", re.IGNORECASE)


def compile_words(latin: str, chinese: str = "") -> re.Pattern[str]:
    r"""Return an expression for words; a Latin one is whole unless it ends in ``\w*``."""
    others = f"|{chinese}" if chinese else ""
    return re.compile(rf"(?<![A-Za-zÀ-ÿ])(?:{latin})(?![A-Za-zÀ-ÿ]){others}", re.IGNORECASE)


def has_context(words: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """Return whether one of the words stands near ``text[start:end]``, in the same sentence."""
    before = _BREAK.split(text[max(0, start - _BEFORE_CHARS) : start])[-1]
    return bool(words.search(before) or words.search(_BREAK.split(text[end : end + _AFTER_CHARS], maxsplit=1)[0]))


def list_windows(text: str) -> list[tuple[int, int]]:
    """Return the parts of a text in which a number can be, because most of it has none."""
    windows: list[tuple[int, int]] = []
    for number in _NUMBER.finditer(text):
        start, end = max(0, number.start() - _AROUND_CHARS), number.end() + _AROUND_CHARS
        if windows and start <= windows[-1][1]:
            windows[-1] = windows[-1][0], end
        else:
            windows.append((start, end))
    return windows


def find_matches(rule: Rule, text: str, windows: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the places of what a rule finds; a word of context counts for all numbers of a list.

    ``windows`` are the parts in which a number can be.
    """
    group = "secret" if "secret" in rule.pattern.groupindex else 0
    last = -1
    parts = windows if rule.is_number else ((0, len(text)),)
    for match in (match for part in parts for match in rule.pattern.finditer(text, *part)):
        start, found = match.start(group), match[group]
        size = rule.count_private(found)
        if not size:
            continue
        if rule.context is not None and (rule.needs_context or found.isalnum()):
            follows = last >= 0 and _LISTS.fullmatch(text, last, start) is not None
            if not follows and not has_context(rule.context, text, start, start + size):
                continue
        last = start + size
        yield start, last
