"""Search a site's pages by the words in their addresses and in the texts of links to them. Pure."""

from __future__ import annotations

import heapq
import math
import re
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from knowledge.language import is_cjk
from knowledge.lexical.terms import index_terms, query_terms

_EXTENSION = re.compile(r"\.(?:[xs]?html?|php|aspx?|jsp|md|txt|pdf)$", re.IGNORECASE)
_MAX_ADDRESS_CHARACTERS: Final = 300
_LENGTH_WEIGHT: Final = 0.5
"""BM25's b: how much less a long address counts than a short one with the same words."""
_K1: Final = 1.2
_LEAST_SHARE: Final = 0.34
"""The share of a question's weight that an address must match; with less, it shares a word by chance."""
_UNKNOWN_PAIR_WEIGHT: Final = 0.3
"""The weight of a pair of Chinese characters that no address has, because most such pairs span two words."""
_SMALL_SITE_PAGES: Final = 8
"""On a smaller site even a word in most addresses counts."""


class SiteIndex:
    """An inverted index over the words of addresses, scored by BM25 with each word counted once."""

    def __init__(self, pages: Sequence[str], link_texts: Mapping[str, str]) -> None:
        """Index pages by their addresses; ``link_texts`` are the texts of links to some of them."""
        self._pages = pages
        self._places: dict[str, array[int]] = defaultdict(lambda: array("I"))
        self._lengths = array("H")
        terms_of_part: dict[str, frozenset[str]] = {}  # most addresses share their folders
        for place, url in enumerate(pages):
            terms: set[str] = set()
            for part in (*split_address(url), link_texts.get(url, "")):
                if part not in terms_of_part:
                    terms_of_part[part] = frozenset(index_terms(part).split())
                terms |= terms_of_part[part]
            self._lengths.append(min(len(terms), 65_535))
            for term in terms:
                self._places[term].append(place)
        self._places.default_factory = None
        self._mean = max(sum(self._lengths) / max(len(self._lengths), 1), 1.0)

    def __len__(self) -> int:
        return len(self._pages)

    def search(self, query: str, limit: int) -> list[tuple[float, str]]:
        """Return the scores and addresses of the pages that share enough of the question's words, the best first."""
        weights = {term: self._compute_weight(term) for term in _drop_single_characters(query_terms(query).split())}
        weight_of: dict[int, float] = defaultdict(float)
        for term, weight in weights.items():
            for place in self._places.get(term, ()):
                weight_of[place] += weight
        minimum = _LEAST_SHARE * sum(weights.values())
        matching = ((place, weight) for place, weight in weight_of.items() if weight > 0 and weight >= minimum)
        scored = ((self._score_page(place, weight), -place) for place, weight in matching)
        return [(score, self._pages[-place]) for score, place in heapq.nlargest(limit, scored)]

    def _compute_weight(self, term: str) -> float:
        """Return how well a word distinguishes pages; a word in no address lowers all matches."""
        matching, pages = len(self._places.get(term, ())), len(self._pages)
        if 2 * matching > pages > _SMALL_SITE_PAGES:
            return 0.0
        weight = math.log1p((pages - matching + 0.5) / (matching + 0.5))
        return weight if matching or not is_cjk(term) else _UNKNOWN_PAIR_WEIGHT * weight

    def _score_page(self, place: int, weight: float) -> float:
        length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * self._lengths[place] / self._mean
        return weight * (_K1 + 1) / (1 + _K1 * length)


def _drop_single_characters(terms: list[str]) -> list[str]:
    """Drop single Chinese characters, which many words share, unless there are no other terms."""
    return [term for term in terms if len(term) > 1 or not is_cjk(term)] or terms


def split_address(url: str) -> list[str]:
    """Return the unescaped parts of an address's path and its query."""
    split = urlsplit(url)
    path = _EXTENSION.sub("", unquote(split.path[:_MAX_ADDRESS_CHARACTERS]))
    return [part for part in (*path.split("/"), unquote(split.query[:_MAX_ADDRESS_CHARACTERS])) if part]
