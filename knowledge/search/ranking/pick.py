"""Pick the passages to show from the ranked ones: no text twice, and several documents. Pure.

Copies of a text are in many places (a page exported twice, a handbook of last year). They are collapsed here and not in
the store, because only here it is known which may be seen, and which is the newest. Any difference in words or numbers
matters: similar passages often differ in just the number or name that the question asks for. Only these differences are
ignored: case, blanks, Markdown's marks, and lines that say when a page was printed or changed. Versions are ignored
too, if the question is not about one and the passages' dates tell which is newer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from knowledge.interfaces import Candidate
from knowledge.search.ranking.fusion import ScoredCandidate

_LINE_MARKS = re.compile(r"^[ \t]*(?:[>#*+-]+[ \t]+|\d+\.[ \t]+)+", re.MULTILINE)
_MARKS = re.compile(r"\*\*|__|`|\||:?-{3,}:?")
_VERSION = re.compile(r"(?<![\w.])(?:v\d+(?:\.\d+)+|\d{1,2}\.\d{1,3}\.\d{1,3})(?:-[a-z0-9.]+)?(?!\.?\w)")
"""Not 1.50, which may be a price, and not a network address."""
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
"""Copies have nearly the same length and vector. After enough passages are chosen, only such ones are compared."""
_OPENING_CHARACTERS: Final = 40
"""Characters of a normalised text that are compared first, because most passages differ there."""
_READ_CHARACTERS: Final = 200
"""Characters of a text that usually suffice for its opening."""

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
    """Pick the best passages: no text twice, and at most ``per_document`` of a document if others suffice.

    Args:
        ranked: best first.
        limit: how many at most.
        per_document: passages of one document, if others fill the limit.
        alike: the most by which the cosines of copies differ (``SearchCalibration``).
        words: the question. Differences in its words matter.
        made: when each passage was made, by its id. The newest of several copies takes the place of the best.

    """
    copies = _Copies(words, made or {})
    per_document_counts: Counter[tuple[str, str]] = Counter()
    first: list[ScoredCandidate] = []
    rest: list[ScoredCandidate] = []
    looked_at = 0
    for one in ranked:
        looked_at += 1
        if copies.collapse_copy(one):
            continue
        document = (one.candidate.chunk.source, one.candidate.chunk.document)
        per_document_counts[document] += 1
        (first if per_document_counts[document] <= per_document else rest).append(one)
        if len(first) == limit:
            break
    chosen = {one.candidate.chunk.id for one in (*first, *rest)[:limit]}
    picks = [one for one in ranked if one.candidate.chunk.id in chosen]
    for one in ranked[looked_at:] if any((made or {}).values()) else ():  # Without dates, none is newer.
        if any(_are_alike(one.candidate, other.candidate, alike) for other in picks):
            copies.compare_copy(one)
    return [copies.find_newest(one) for one in picks]


class _Copies:
    """The chosen texts, and the newest passage with each of them."""

    def __init__(self, words: str, made: Mapping[str, datetime | None]) -> None:
        self._words = frozenset(_split_words(words))
        self._versions_matter = bool(_ABOUT_VERSIONS.search(words))
        self._made = made
        self._chosen: dict[str, list[ScoredCandidate]] = {}
        """The chosen passages by their openings. Their keys are made when another passage has the same opening."""
        self._best: dict[_Key, ScoredCandidate] = {}
        self._newest: dict[str, ScoredCandidate] = {}

    def collapse_copy(self, one: ScoredCandidate) -> bool:
        """Return whether a passage is a copy of a better one; if not, record it as chosen."""
        opening = self._make_opening(one.candidate.chunk.text)
        if self._matches_chosen(one, opening):
            return True
        self._chosen.setdefault(opening, []).append(one)
        return False

    def compare_copy(self, one: ScoredCandidate) -> bool:
        """Return whether a passage is a copy of a chosen one, and remember the newer of the two."""
        return self._matches_chosen(one, self._make_opening(one.candidate.chunk.text))

    def _matches_chosen(self, one: ScoredCandidate, opening: str) -> bool:
        if opening not in self._chosen:
            return False
        while self._chosen[opening]:
            chosen = self._chosen[opening].pop(0)
            for key in self._make_keys(chosen.candidate):
                self._best.setdefault(key, chosen)
        keys = tuple(self._make_keys(one.candidate))
        for key in keys:
            best = self._best.get(key)
            if best is None:
                continue
            newest = self._newest.get(best.candidate.chunk.id, best)
            newer = self._is_newer(one, newest)
            if len(key) == 1 or newer is not None:  # Versions can be ignored only if dates tell which passage is newer.
                if newer and self._make_path(one.candidate) == self._make_path(best.candidate):
                    self._newest[best.candidate.chunk.id] = one
                    # The newest text takes the best's place, so a text equal to it is a copy too.
                    self._best.setdefault(keys[0], best)
                return True
        return False

    def find_newest(self, best: ScoredCandidate) -> ScoredCandidate:
        """Return the newest copy, with the score of the best."""
        newest = self._newest.get(best.candidate.chunk.id, best)
        return ScoredCandidate(newest.candidate, best.score)

    def _is_newer(self, one: ScoredCandidate, other: ScoredCandidate) -> bool | None:
        """Return whether ``one`` was made later, None if unknown."""
        mine, theirs = self._made.get(one.candidate.chunk.id), self._made.get(other.candidate.chunk.id)
        return None if mine is None or theirs is None or mine == theirs else mine > theirs

    def _make_keys(self, candidate: Candidate) -> Iterator[_Key]:
        """Yield the keys that copies share: the text, and the title and text without versions."""
        text = _normalise_text(self._drop_boilerplate(candidate.chunk.text))
        yield (text,)
        if not self._versions_matter and _VERSION.search(text):
            yield self._make_path(candidate), _VERSION.sub("§", text)

    def _make_opening(self, text: str) -> str:
        """Return the beginning of a normalised text without versions; copies share it.

        Only the beginning of the text is normalised, cut where it splits neither a mark nor a possible boilerplate
        line.
        """
        head = text[:_READ_CHARACTERS]
        if len(text) > _READ_CHARACTERS:
            line, blank = head.rfind("\n") + 1, head.rfind(" ")
            head = head[: blank if blank - line > _BOILERPLATE_CHARACTERS else line]
        opening = self._drop_versions(head)
        if len(opening) < _OPENING_CHARACTERS and len(head) < len(text):
            opening = self._drop_versions(text)
        return opening[:_OPENING_CHARACTERS]

    def _drop_versions(self, text: str) -> str:
        return _VERSION.sub("§", _normalise_text(self._drop_boilerplate(text)))

    def _make_path(self, candidate: Candidate) -> str:
        path = _normalise_text(f"{candidate.chunk.title} › {candidate.chunk.heading}")
        return path if self._versions_matter else _VERSION.sub("§", path)

    def _drop_boilerplate(self, text: str) -> str:
        """Return a text without boilerplate lines, except those that the question asks for."""
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
    """Return a text without differences that do not change its meaning."""
    plain = _MARKS.sub(" ", _LINE_MARKS.sub("", unicodedata.normalize("NFKC", text)))
    return " ".join(plain.casefold().split())


def _split_words(text: str) -> Iterator[str]:
    return (match.group().casefold() for match in re.finditer(r"[^\W_]{3,}|[\u3400-\u9fff]{2}", text))
