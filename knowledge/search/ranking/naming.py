"""Rank a document first if a question calls it by its name. Pure.

A name is a title, a file name without its suffix, or a heading. A question names it if it has all the name's words in a
row, in any case, separated by ``-``, ``_`` or blanks. So "limit count" names ``limit-count.md`` and not
``graphql-limit-count.md``. Of nested names only the longest counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from knowledge.interfaces import WEB, Candidate
from knowledge.lexical.terms import is_sentence_word
from knowledge.search.identifiers import fold_text

NAME_GAIN: Final = 1.0
"""The gain of a passage, of a score of 1, if its names are the whole question except function words."""

WRITTEN_NAME_GAIN: Final = 0.3
"""The least gain by a name with a hyphen, or in Latin letters in a Chinese question. Both were chosen on the even half
of ``scripts/eval_data/apisix_questions.jsonl`` and on 590 questions made of plugins' names. On the odd half the first
hit is as often right. Of the questions with names it is right for 99.8 %, instead of 95."""

_IDEOGRAPH: Final = "\u3041-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(f"(?P<joint>[-_])?(?P<word>[{_IDEOGRAPH}]|[^\\W_{_IDEOGRAPH}]+)")
_LONGEST_NAME: Final = 24
"""Words of a name. A longer title or heading is a sentence."""
_MOST_WORDS: Final = 512
"""Words of a question in which names are searched. In a longer one, a pasted text, names cover little."""
_IDEOGRAPH_WORDS: Final = 0.5
"""The weight of an ideograph, as a part of a word."""

_Words = tuple[str, ...]
_Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _WordedQuery:
    """A question as a sequence of words."""

    words: _Words
    hyphens: tuple[bool, ...]
    """Whether a word is joined to the one before it by a hyphen or an underscore, with one more for the end."""
    shares: tuple[float, ...]
    """The share of each word in the meaning of the question; together 1."""
    starts: Mapping[str, Sequence[int]]
    has_ideographs: bool

    def find_spans(self, name: _Words) -> Iterator[_Span]:
        """Yield the places where the question has a name, except within a hyphenated word."""
        for start in self.starts.get(name[0], ()):
            end = start + len(name)
            if self.words[start:end] == name and not (self.hyphens[start] or self.hyphens[end]):
                yield start, end

    def is_written_as_name(self, span: _Span) -> bool:
        """Return whether words are written as a name: with hyphens, or in Latin letters among Chinese."""
        start, end = span
        return any(self.hyphens[start + 1 : end]) or (
            self.has_ideographs and not any(map(_is_ideograph, self.words[start:end]))
        )


def weigh_document_names(candidates: Sequence[Candidate], question: str) -> Mapping[str, float]:
    """Return the gain of each candidate by the names in the question, by its id. Zero gains are left out.

    The gain grows with the square of the question's share that the candidate's names cover, so one common word of many
    ("API") means little. A name of many documents ("Examples") counts less. Web pages have no names, because their
    authors choose them.
    """
    query = _split_query(question)
    chunks = [one.chunk for one in candidates if one.chunk.source != WEB]
    names_of = {chunk.id: _collect_names(chunk.title, chunk.document, chunk.heading) for chunk in chunks}
    likely = {name for names in names_of.values() for name in names if name[0] in query.starts}
    spans = _keep_longest({name: list(query.find_spans(name)) for name in likely})
    if not spans:
        return {}
    rarity = _measure_rarity(candidates, {id_: names & spans.keys() for id_, names in names_of.items()})
    gains = {
        id_: NAME_GAIN * _measure_share(query, {name: spans[name] for name in names & spans.keys()}, rarity)
        for id_, names in names_of.items()
    }
    return {id_: gain for id_, gain in gains.items() if gain > 0}


def _measure_rarity(candidates: Sequence[Candidate], names_of: Mapping[str, frozenset[_Words]]) -> dict[_Words, float]:
    """Return how rare a name is among documents: 1 for one document."""
    documents = {one.chunk.id: (one.chunk.source, one.chunk.document) for one in candidates}
    bearers: dict[_Words, set[tuple[str, str]]] = {}
    for id_, names in names_of.items():
        for name in names:
            bearers.setdefault(name, set()).add(documents[id_])
    count = len(set(documents.values()))
    return {name: 1 - (len(them) - 1) / count for name, them in bearers.items()}


def _measure_share(
    query: _WordedQuery, spans: Mapping[_Words, Sequence[_Span]], rarity: Mapping[_Words, float]
) -> float:
    """Return the share of the question that names cover, 0 to 1, each word by its rarest name."""
    rarest: dict[int, float] = {}
    written = 0.0
    for name, those in spans.items():
        for span in those:
            written = max(written, rarity[name] * query.is_written_as_name(span))
            for place in range(*span):
                rarest[place] = max(rarest.get(place, 0.0), rarity[name])
    covered = sum(query.shares[place] * rare for place, rare in rarest.items())
    return float(max(covered**2, WRITTEN_NAME_GAIN * written))


def _split_query(question: str) -> _WordedQuery:
    tokens = list(_TOKEN.finditer(fold_text(question)))
    words = tuple(token["word"] for token in tokens)
    hyphens = tuple(
        bool(token["joint"]) and i > 0 and token.start() == tokens[i - 1].end() for i, token in enumerate(tokens)
    )
    weights = [_weigh_word(word) for word in words]
    total = sum(weights) or 1.0
    starts: dict[str, list[int]] = {}
    for place, word in enumerate(words[:_MOST_WORDS]):
        starts.setdefault(word, []).append(place)
    shares = tuple(weight / total for weight in weights)
    return _WordedQuery(words, (*hyphens, False), shares, starts, any(map(_is_ideograph, words)))


def _weigh_word(word: str) -> float:
    if is_sentence_word(word):
        return 0.0
    return _IDEOGRAPH_WORDS if _is_ideograph(word) else 1.0


@lru_cache(maxsize=16_384)
def _collect_names(title: str, document: str, heading: str) -> frozenset[_Words]:
    """Return the names of a passage: those of its document, and of the headings above it."""
    named = (_split_name(text) for text in (title, PurePosixPath(document).stem, *heading.split(" › ")))
    return frozenset(name for name in named if _is_name(name))


def _split_name(text: str) -> _Words:
    return tuple(token["word"] for token in _TOKEN.finditer(fold_text(text)))


def _is_name(name: _Words) -> bool:
    meaningful = [word for word in name if not is_sentence_word(word)]
    lone = len(meaningful) == 1 and (_is_ideograph(meaningful[0]) or meaningful[0].isdigit())
    return bool(meaningful) and not lone and len(name) <= _LONGEST_NAME


def _keep_longest(spans: Mapping[_Words, Sequence[_Span]]) -> dict[_Words, list[_Span]]:
    """Drop names that are within a longer name."""
    outer: set[_Span] = set()
    furthest = 0
    every = {span for those in spans.values() for span in those}
    for start, end in sorted(every, key=lambda span: (span[0], -span[1])):
        if end > furthest:  # Otherwise it is within a name that begins no later.
            outer.add((start, end))
            furthest = end
    outermost = {name: [span for span in those if span in outer] for name, those in spans.items()}
    return {name: those for name, those in outermost.items() if those}


def _is_ideograph(word: str) -> bool:
    return re.fullmatch(f"[{_IDEOGRAPH}]", word) is not None
