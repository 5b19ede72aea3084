"""Which of the ranked passages are shown: no text twice, and no document in every place. Pure.

Copies of a text lie in many places (a page exported twice, a handbook of last year). They are collapsed here and not in
the store, because which of them may be seen, and which is the newest, is known only now. What differs at all in words
or numbers stays: near twins differ just in the number or the name that was asked for. Taken for no difference are case,
blanks and Markdown's marks, lines that only say when a page was printed or changed, and versions, if the question is
not about one and the passages' dates tell which is newer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from knowledge.interfaces import Candidate
from knowledge.search.fusion import ScoredCandidate

_LINE_MARKS = re.compile(r"^[ \t]*(?:[>#*+-]+[ \t]+|\d+\.[ \t]+)+", re.MULTILINE)
_MARKS = re.compile(r"\*\*|__|`|\||:?-{3,}:?")
_VERSION = re.compile(r"(?<![\w.])(?:v\d+(?:\.\d+)+|\d{1,2}\.\d{1,3}\.\d{1,3})(?:-[a-z0-9.]+)?(?!\.?\w)")
"""Not 1.50, which may be a price, nor the address of a machine."""
_ABOUT_VERSIONS = re.compile(
    r"\d|\b(?:version|release|latest|newest|old|upgrade|migrat)|版本|最新|升级|旧", re.IGNORECASE
)
_BOILERPLATE = re.compile(
    r"^\W*(?:last[ -](?:updated|modified|edited|changed)"
    r"|(?:updated|modified|edited|printed|exported|generated) (?:on|at|by)"
    r"|copyright\b|©|page \d+ of \d+|all rights reserved"
    r"|最后(?:更新|修改|编辑)|更新(?:时间|日期|于)|版权所有|第 ?\d+ ?页)",
    re.IGNORECASE,
)
_BOILERPLATE_CHARACTERS: Final = 120
_ALIKE_CHARACTERS: Final = 160
"""Copies have nearly the same length and vector; only such passages are compared once enough were taken."""
_OPENING_CHARACTERS: Final = 40
"""Of a form: what is compared first, since most passages differ there."""
_READ_CHARACTERS: Final = 200
"""Of a text: mostly enough for its opening."""

_Key = tuple[str, ...]


def pick_passages(
    ranked: Sequence[ScoredCandidate],
    limit: int,
    per_document: int,
    *,
    alike: float,
    words: str = "",
    made: Mapping[str, datetime | None] | None = None,
) -> list[ScoredCandidate]:
    """Take the best: no text twice, and no more than ``per_document`` of one document while others have some.

    Args:
        ranked: best first.
        limit: how many at most.
        per_document: of one document, as long as others fill the limit.
        alike: the most by which the cosines of copies differ (``SearchCalibration``).
        words: the question, which tells what difference matters.
        made: when each passage was made, by its id; of copies the newest is taken, in the place of the best.

    """
    copies = _Copies(words, made or {})
    taken: Counter[tuple[str, str]] = Counter()
    first: list[ScoredCandidate] = []
    rest: list[ScoredCandidate] = []
    looked_at = 0
    for one in ranked:
        looked_at += 1
        if copies.collapsed(one):
            continue
        document = (one.candidate.chunk.source, one.candidate.chunk.document)
        taken[document] += 1
        (first if taken[document] <= per_document else rest).append(one)
        if len(first) == limit:
            break
    chosen = {one.candidate.chunk.id for one in (*first, *rest)[:limit]}
    kept = [one for one in ranked if one.candidate.chunk.id in chosen]
    for one in ranked[looked_at:] if any((made or {}).values()) else ():  # without dates, none is newer
        if any(_are_alike(one.candidate, other.candidate, alike) for other in kept):
            copies.compare(one)
    return [copies.newest(one) for one in kept]


class _Copies:
    """The texts taken so far, and the newest passage that has each of them."""

    def __init__(self, words: str, made: Mapping[str, datetime | None]) -> None:
        self._words = frozenset(_split_words(words))
        self._versions_matter = bool(_ABOUT_VERSIONS.search(words))
        self._made = made
        self._openings: set[str] = set()
        self._best: dict[_Key, ScoredCandidate] = {}
        self._newest: dict[str, ScoredCandidate] = {}

    def collapsed(self, one: ScoredCandidate) -> bool:
        """Whether this is a copy of one that ranks before it; else it is taken."""
        opening = self._opening(one.candidate.chunk.text)
        if opening in self._openings and self._same(one):
            return True
        self._openings.add(opening)
        for key in self._keys(one.candidate):
            self._best.setdefault(key, one)
        return False

    def compare(self, one: ScoredCandidate) -> bool:
        """Whether this is a copy of one that was taken; the newer of the two is kept in mind."""
        return self._opening(one.candidate.chunk.text) in self._openings and self._same(one)

    def _same(self, one: ScoredCandidate) -> bool:
        keys = tuple(self._keys(one.candidate))
        for key in keys:
            best = self._best.get(key)
            if best is None:
                continue
            newest = self._newest.get(best.candidate.chunk.id, best)
            newer = self._newer(one, newest)
            if len(key) == 1 or newer is not None:  # versions tell nothing apart only where dates do
                if newer and self._path(one.candidate) == self._path(best.candidate):
                    self._newest[best.candidate.chunk.id] = one
                    self._best.setdefault(keys[0], best)  # its words stand in the best's place: who has them is a copy
                return True
        return False

    def newest(self, best: ScoredCandidate) -> ScoredCandidate:
        """Return the newest copy with the place of the best."""
        newest = self._newest.get(best.candidate.chunk.id, best)
        return ScoredCandidate(newest.candidate, best.score)

    def _newer(self, one: ScoredCandidate, other: ScoredCandidate) -> bool | None:
        """Whether ``one`` was made later; None where that is not known."""
        mine, theirs = self._made.get(one.candidate.chunk.id), self._made.get(other.candidate.chunk.id)
        return None if mine is None or theirs is None or mine == theirs else mine > theirs

    def _keys(self, candidate: Candidate) -> Iterator[_Key]:
        """Yield what copies have in common: their text, and title and text without versions."""
        text = _normalise_text(self._said(candidate.chunk.text))
        yield (text,)
        if not self._versions_matter and _VERSION.search(text):
            yield self._path(candidate), _VERSION.sub("§", text)

    def _opening(self, text: str) -> str:
        """Return how a text's form begins, versions left out: texts with a key in common have one opening.

        It is read from the text's beginning, cut where neither a mark nor a line that may be boilerplate is cut.
        """
        head = text[:_READ_CHARACTERS]
        if len(text) > _READ_CHARACTERS:
            line, blank = head.rfind("\n") + 1, head.rfind(" ")
            head = head[: blank if blank - line > _BOILERPLATE_CHARACTERS else line]
        opening = self._unversioned(head)
        if len(opening) < _OPENING_CHARACTERS and len(head) < len(text):
            opening = self._unversioned(text)
        return opening[:_OPENING_CHARACTERS]

    def _unversioned(self, text: str) -> str:
        return _VERSION.sub("§", _normalise_text(self._said(text)))

    def _path(self, candidate: Candidate) -> str:
        path = _normalise_text(f"{candidate.chunk.title} › {candidate.chunk.heading}")
        return path if self._versions_matter else _VERSION.sub("§", path)

    def _said(self, text: str) -> str:
        """Return a text without the lines that say nothing of its matter, unless they are asked for."""
        return "\n".join(line for line in text.split("\n") if not self._is_boilerplate(line))

    def _is_boilerplate(self, line: str) -> bool:
        return (
            len(line) <= _BOILERPLATE_CHARACTERS
            and _BOILERPLATE.match(line) is not None
            and self._words.isdisjoint(_split_words(line))
        )


def _are_alike(one: Candidate, other: Candidate, cosine: float) -> bool:
    return (
        abs(one.cosine - other.cosine) <= cosine
        and abs(len(one.chunk.text) - len(other.chunk.text)) <= _ALIKE_CHARACTERS
    )


def _normalise_text(text: str) -> str:
    """Return a text without what does not change its meaning."""
    plain = _MARKS.sub(" ", _LINE_MARKS.sub("", unicodedata.normalize("NFKC", text)))
    return " ".join(plain.casefold().split())


def _split_words(text: str) -> Iterator[str]:
    return (match.group().casefold() for match in re.finditer(r"[^\W_]{3,}|[\u3400-\u9fff]{2}", text))
