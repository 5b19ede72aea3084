"""Find listed names in a text. Names that no list has are not found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_IDEOGRAPHS: Final = "\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[^\W\d_{_IDEOGRAPHS}]+")
_CHINESE = re.compile(rf"[{_IDEOGRAPHS}]{{2,}}")
_GAP = re.compile(r"[\s.,'’·-]{1,3}")  # what stands between the words of a name: "Lee, Ann", "O'Hara", "Anne-Marie"
_KEY_CHARS: Final = 2


class NameIndex:
    """Names by their first word, so that a text is read once for any number of names.

    A name of several words is found in any case, also with its last word first. A single word is found as it is
    written, and a Chinese name of two or more characters anywhere.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._words: set[tuple[str, ...]] = set()
        self._lengths: dict[str, set[int]] = {}
        self._single: set[str] = set()
        self._chinese: dict[str, set[str]] = {}
        for name in names:
            self.add_name(name)

    def add_name(self, name: str, *, full_only: bool = False) -> None:
        """Add a name; what stands in parentheses is none. With ``full_only``, a single word is none either."""
        name = name.partition("(")[0]
        words = _WORD.findall(name)
        if (chinese := _CHINESE.search(name)) is not None:
            self._chinese.setdefault(chinese[0][:_KEY_CHARS], set()).add(chinese[0])
        if len(words) == 1 and not full_only:
            self._single.add(words[0])
        elif len(words) > 1:
            folded = tuple(word.casefold() for word in words)
            for form in (folded, (folded[-1], *folded[:-1])):
                self._words.add(form)
                self._lengths.setdefault(form[0], set()).add(len(form))

    def find_names(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of the names."""
        if self._words or self._single:
            yield from self._find_words(text)
        if self._chinese:
            yield from self._find_chinese(text)

    def _find_words(self, text: str) -> Iterator[tuple[int, int]]:
        words = list(_WORD.finditer(text))
        folded = [word[0].casefold() for word in words]
        place = 0
        while place < len(words):
            count = self._count_words(words, folded, place)
            if count:
                yield words[place].start(), words[place + count - 1].end()
            place += count or 1

    def _count_words(self, words: Sequence[re.Match[str]], folded: Sequence[str], place: int) -> int:
        """Return how many words from a place on are the longest name there, 0 for none."""
        for length in sorted(self._lengths.get(folded[place], ()), reverse=True):
            if (
                place + length <= len(words)
                and tuple(folded[place : place + length]) in self._words
                and all(
                    _GAP.fullmatch(words[place].string, words[at].end(), words[at + 1].start())
                    for at in range(place, place + length - 1)
                )
            ):
                return length
        return int(words[place][0] in self._single)

    def _find_chinese(self, text: str) -> Iterator[tuple[int, int]]:
        for run in _CHINESE.finditer(text):
            for start in range(run.start(), run.end() - 1):
                for name in self._chinese.get(text[start : start + _KEY_CHARS], ()):
                    if text.startswith(name, start):
                        yield start, start + len(name)
