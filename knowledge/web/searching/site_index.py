"""Which of a site's pages have a question's words in their addresses, or in what links call them: pure."""

from __future__ import annotations

import heapq
import math
import re
from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from knowledge.language import is_cjk
from knowledge.terms import index_terms, query_terms

_BETWEEN = re.compile(r"[/_.,;:+=&-]+")
_ENDING = re.compile(r"\.(?:[xs]?html?|php|aspx?|jsp|md|txt|pdf)$", re.IGNORECASE)
_LONGEST_ADDRESS: Final = 300
_LENGTH_WEIGHT: Final = 0.5
"""BM25's b: how much a long address counts less than a short one with the same words."""
_K1: Final = 1.2
_LEAST_SHARE: Final = 0.34
"""Of a question's weight that an address must hold; with less, it shares a word by chance."""
_STRADDLES: Final = 0.3
"""Of a pair of Chinese characters that no address has: most pairs are of two words."""
_FEW_PAGES: Final = 8
"""On a smaller site a word of most addresses may be what is asked for."""


@dataclass(frozen=True, slots=True)
class SiteMatch:
    """A page whose address has words of the question."""

    url: str
    title: str
    """What a link calls it, else the last words of its address."""
    published: datetime | None
    score: float


class SiteIndex:
    """An inverted index over the words of addresses, scored as BM25 scores a text in which no word comes twice."""

    def __init__(self, pages: Mapping[str, datetime | None], names: Mapping[str, str] | None = None) -> None:
        """``names`` are what links call some of the pages."""
        self._names = names or {}
        self._pages = list(pages.items())
        self._places: dict[str, array[int]] = defaultdict(lambda: array("I"))
        self._lengths = array("H")
        known: dict[str, frozenset[str]] = {}  # most addresses share their folders
        for place, url in enumerate(pages):
            terms: set[str] = set()
            for part in (*split_address(url), self._names.get(url, "")):
                if part not in known:
                    known[part] = frozenset(index_terms(part).split())
                terms |= known[part]
            self._lengths.append(min(len(terms), 65_535))
            for term in terms:
                self._places[term].append(place)
        self._places.default_factory = None
        self._mean = max(sum(self._lengths) / max(len(self._lengths), 1), 1.0)

    def __len__(self) -> int:
        return len(self._pages)

    def search(self, query: str, limit: int) -> list[SiteMatch]:
        """Return the pages that share enough of the question's words, the best first."""
        weights = {term: self._weight(term) for term in _drop_single_characters(query_terms(query).split())}
        held: dict[int, float] = defaultdict(float)
        for term, weight in weights.items():
            for place in self._places.get(term, ()):
                held[place] += weight
        least = _LEAST_SHARE * sum(weights.values())
        enough = ((place, weight) for place, weight in held.items() if weight > 0 and weight >= least)
        scored = ((self._scored(place, weight), -place) for place, weight in enough)
        best = heapq.nlargest(limit, scored)
        return [self._match(-place, score) for score, place in best]

    def _weight(self, term: str) -> float:
        """Return how much a word tells pages apart; one that no address has tells that none is meant."""
        found, pages = len(self._places.get(term, ())), len(self._pages)
        if 2 * found > pages > _FEW_PAGES:
            return 0.0
        weight = math.log1p((pages - found + 0.5) / (found + 0.5))
        return weight if found or not is_cjk(term) else _STRADDLES * weight

    def _scored(self, place: int, weight: float) -> float:
        length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * self._lengths[place] / self._mean
        return weight * (_K1 + 1) / (1 + _K1 * length)

    def _match(self, place: int, score: float) -> SiteMatch:
        url, published = self._pages[place]
        return SiteMatch(url, self._names.get(url) or derive_title(url), published, score)


def _drop_single_characters(terms: list[str]) -> list[str]:
    """Leave out single characters of Chinese, which many words share, where there are others."""
    return [term for term in terms if len(term) > 1 or not is_cjk(term)] or terms


def split_address(url: str) -> list[str]:
    """Return the parts of an address's path, and its query, with their escapes undone."""
    split = urlsplit(url)
    path = _ENDING.sub("", unquote(split.path[:_LONGEST_ADDRESS]))
    return [part for part in (*path.split("/"), unquote(split.query[:_LONGEST_ADDRESS])) if part]


def derive_title(url: str) -> str:
    """Return the name that an address gives its page: its last part, as words."""
    path = _ENDING.sub("", unquote(urlsplit(url).path)).rstrip("/")
    last = " ".join(_BETWEEN.sub(" ", path.rpartition("/")[2]).split())
    return last[:_LONGEST_ADDRESS] or urlsplit(url).hostname or ""
