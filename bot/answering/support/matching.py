"""Find where passages say what a sentence says: by shared words, and by embeddings where words leave it open.

A passage is analysed lazily: its words at once, the claims of a sentence when a sentence of the answer is like it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from bot.answering.markdown.sentences import split_passage
from bot.answering.support.alignment import Alignment, align_texts
from bot.answering.support.claims import Claims, content_words, extract_claims
from bot.answering.support.embedding_cache import EmbeddingCache
from bot.answering.support.quantities import Mention, meets_any, normalise_text
from bot.languages.registry import Language, choose_language, find_pack
from knowledge.embedding.calibration import SimilarityScale
from knowledge.tables import describe_tables

_LIKELY = 2
"""So many sentences of a passage are compared closely, and their neighbours with them."""
LIKELY_ACROSS = 12
_SAME_WORDS, _OTHER_WORDS = 0.5, 0.08
"""Shares of common words that make an embedding superfluous. Of 300 sentences that share half of their words with a
sentence of a passage, 98 % are as similar as features count. Of 475 that share none, 98 % are not."""
_ADDED_WORDS = 0.15
_OTHER_LANGUAGE = 0.25
"""What a passage in another language counts among those that are ranked by common words."""
_PAIR_HANDICAP = 0.03
"""A pair of sentences contains all that its halves contain, so it has to be better by a little."""


_BEFORE = re.compile(r"(?<!not)(?<!never)(?<![不没未无非勿])")
_BEFORE_NUMBER = re.compile(rf"{_BEFORE.pattern}(?<![\d.,])")
_BEHIND_NUMBER = re.compile(r"(?!\d|[.,]\d|hundred|thousand|million|billion|[百千万亿%])")
_ANYTHING = re.compile("")
_YEAR = re.compile(r"(?<![\d.,])(?:19|20)\d\d(?![\d.,])")
_BARE = " ,;:，；。：、.!?"


@dataclass(frozen=True)
class TableRow:
    """A row of a table with what its figures are bound to."""

    name: frozenset[str]
    """The content words of its first cell."""
    named_numbers: tuple[Mention, ...]
    """The numbers of its first cell."""
    cells: tuple[tuple[frozenset[float], tuple[Mention, ...]], ...]
    """The years in the name of each other cell, and the numbers of the cell."""

    def find_cells(self, number: Mention) -> list[frozenset[float]]:
        """Return the years of the cells that state a number."""
        return [years for years, numbers in self.cells if meets_any(number, numbers)]


@dataclass(frozen=True)
class AnalysedPassage:
    """A passage, ready for comparing."""

    text: str
    """The text with its title and heading."""
    sentences: tuple[str, ...]
    words: tuple[frozenset[str], ...]
    """The content words of each sentence."""
    language: Language
    rows: frozenset[int] = frozenset()
    """The places of those sentences that are rows of tables."""

    @cached_property
    def whole(self) -> Claims:
        """Return everything that the passage claims."""
        return extract_claims(self.text)

    def __add__(self, other: AnalysedPassage) -> AnalysedPassage:
        """Return what both say together, this one's sentences first."""
        text, found = f"{self.text}\n{other.text}", self.sentences + other.sentences
        rows = self.rows.union(len(self.sentences) + row for row in other.rows)
        return AnalysedPassage(text, found, self.words + other.words, self.language, rows)

    @cached_property
    def places(self) -> Mapping[str, Sequence[int]]:
        """Return the sentences in which each word stands."""
        places: dict[str, list[int]] = {}
        for place, found in enumerate(self.words):
            for word in found:
                places.setdefault(word, []).append(place)
        return places

    @cached_property
    def table_rows(self) -> tuple[TableRow, ...]:
        """Return its rows by their cells."""
        return tuple(_read_row(extract_claims(self.sentences[row])) for row in sorted(self.rows))

    def find_row(self, sentence: Claims, overlaps: Sequence[float]) -> set[int]:
        """Return the row that states most figures of a sentence, years aside; of several the one most like it."""
        figures = [figure for figure in sentence.figures if "year" not in figure.kinds]
        if not self.rows or not figures:
            return set()
        counts = {
            place: sum(bool(row.find_cells(figure)) for figure in figures)
            for place, row in zip(sorted(self.rows), self.table_rows, strict=True)
        }
        best = max(counts, key=lambda place: (counts[place], overlaps[place]))
        return {best} if counts[best] else set()

    def states_in_prose(self, number: Mention) -> bool:
        """Return whether a number stands outside the rows of tables."""
        prose = (text for place, text in enumerate(self.sentences) if place not in self.rows)
        return any(meets_any(number, extract_claims(text).numbers) for text in prose)

    def overlaps(self, words: frozenset[str]) -> list[float]:
        """Return the share of a sentence's words that stand in each sentence of the passage."""
        counts, total = [0] * len(self.words), max(1, len(words))
        for word in self.places.keys() & words:
            for place in self.places[word]:
                counts[place] += 1
        return [count / total for count in counts]

    def stretches(self, likely: Iterable[int], sentence: Claims) -> dict[tuple[int, ...], Claims]:
        """Return the likely sentences and their pairs with a neighbour, by their places in the passage.

        Two neighbouring rows of a table are no pair: a sentence could take the name of one and the number of the other.
        The rows that the sentence lists are compared together instead.
        """
        places = set(likely)
        pairs = {(i, i + 1) for place in places for i in (place - 1, place) if 0 <= i < len(self.sentences) - 1}
        listed = frozenset(rows for rows in self._find_listed_rows(sentence) if len(rows) > 1)
        glue = find_pack(self.language).sentence_separator
        singles = [(place,) for place in sorted(places.union(*listed))]
        several = sorted(listed.union(pair for pair in pairs if not self.rows.issuperset(pair)))
        return {at: extract_claims(glue.join(self.sentences[i] for i in at)) for at in (*singles, *several)}

    def _find_listed_rows(self, sentence: Claims) -> Iterator[tuple[int, ...]]:
        """Yield the rows whose first cell a sentence names, and those of its numbers, each by what only one row has."""
        keys = {row: content_words(normalise_text(self.sentences[row].partition("; ")[0])) for row in self.rows}
        numbers = {row: extract_claims(self.sentences[row]).numbers for row in self.rows if sentence.figures}
        by_word = [[row for row, words in keys.items() if word in words] for word in sentence.all_words]
        by_number = [[row for row, own in numbers.items() if meets_any(one, own)] for one in sentence.figures]
        for found in (by_word, by_number):
            yield tuple(sorted({rows[0] for rows in found if len(rows) == 1}))


def _read_row(row: Claims) -> TableRow:
    start, cells = 0, list[tuple[frozenset[float], tuple[Mention, ...]]]()
    for cell in row.text.split("; "):
        end, value = start + len(cell), start + cell.rfind(": ") + 1
        years = frozenset(map(float, _YEAR.findall(row.text, start, value)))
        cells.append((years, tuple(number for number in row.numbers if value <= number.start < end)))
        start = end + 2
    name = content_words(row.text.partition("; ")[0].rpartition(": ")[2])
    return TableRow(name, cells[0][1], tuple(cells[1:]))


@dataclass(frozen=True)
class Match:
    """A sentence with the stretch of a passage that is most like it."""

    sentence: Claims
    passage: AnalysedPassage
    stretch: Claims
    similarity: float
    """The similarity of the embeddings, up to the limit of the scale."""
    overlap: float
    """The share of the sentence's words, numbers and names that stand in the stretch."""
    near: tuple[Claims, ...]
    """The passage's sentences that were compared."""

    @property
    def across(self) -> bool:
        """Whether sentence and passage are in different languages."""
        return self.sentence.language != self.passage.language

    @property
    def is_row(self) -> bool:
        """Whether the stretch is one row of a table."""
        return any(self.passage.sentences[row] == self.stretch.source for row in self.passage.rows)

    @cached_property
    def alignment(self) -> Alignment | None:
        """Return how the sentence comes about from the stretch, if they are nearly the same words."""
        return None if self.across else align_texts(self.sentence.source, self.stretch.source)


async def match_passages(
    sentence: Claims, passages: Mapping[int, AnalysedPassage], embed: EmbeddingCache, scale: SimilarityScale
) -> dict[int, Match]:
    """Return the best match of a sentence in each passage that has any text.

    Raises:
        KnowledgeError: the embedder failed.

    """
    expected = {n: _expected_similarities(sentence, passage, scale) for n, passage in passages.items()}
    open_texts = [passages[n].sentences[i] for n, of in expected.items() for i, value in of.items() if value is None]
    text = sentence.source
    vectors = await embed([text, *open_texts]) if open_texts else {}
    found = {}
    for n, of in expected.items():
        if of:
            similarities = {
                i: float(vectors[text] @ vectors[passages[n].sentences[i]]) if value is None else value
                for i, value in of.items()
            }
            found[n] = match_passage(sentence, passages[n], similarities, scale)
    return found


def _expected_similarities(
    sentence: Claims, passage: AnalysedPassage, scale: SimilarityScale
) -> dict[int, float | None]:
    """Return the places of the likely sentences with their similarity, None where it has to be computed."""
    if sentence.language != passage.language:
        return dict.fromkeys(range(len(passage.sentences))[:LIKELY_ACROSS])
    overlaps = passage.overlaps(sentence.all_words)
    likely = {*sorted(range(len(overlaps)), key=lambda place: -overlaps[place])[:_LIKELY]}
    likely |= passage.find_row(sentence, overlaps)
    return {place: _expect_similarity(overlaps[place], scale) for place in likely}


def _expect_similarity(overlap: float, scale: SimilarityScale) -> float | None:
    if overlap >= _SAME_WORDS:
        return scale.similar
    return scale.unlike if overlap < _OTHER_WORDS else None


def match_passage(
    sentence: Claims, passage: AnalysedPassage, similarities: Mapping[int, float], scale: SimilarityScale
) -> Match:
    """Return the best match of a sentence in a passage.

    Args:
        sentence: of an answer.
        passage: has at least one sentence.
        similarities: of the embeddings of the sentence and the likely sentences of the passage, by their place.
        scale: of the embedder.

    """
    across = sentence.language != passage.language
    stretches = passage.stretches(similarities, sentence)
    values = {}
    for places, stretch in stretches.items():
        similarity = max(similarities.get(place, 0.0) for place in places)
        overlap = compute_overlap(sentence, stretch, across=across)
        values[places] = (5.0 * similarity + overlap - _PAIR_HANDICAP * len(places), similarity, overlap)
    best = max(values, key=lambda places: (values[places][0], len(sentence.words & stretches[places].words)))
    near = tuple(stretch for places, stretch in stretches.items() if len(places) == 1)
    _, similarity, overlap = values[best]
    most = scale.similar_across if across else scale.similar
    return Match(sentence, passage, stretches[best], min(similarity, most), overlap, near)


def compute_overlap(here: Claims, there: Claims, *, across: bool) -> float:
    """Return the share of a text's words, numbers and names that stand in another; across languages without words."""
    shared = sum(meets_any(number, there.numbers) for number in here.figures) + sum(
        map(there.holds_name, here.literals)
    )
    total = len(here.figures) + len(here.literals)
    if not across:
        shared, total = shared + len(here.words & there.words), total + len(here.words)
    return shared / max(1, total)


def rank_passages(sentence: Claims, passages: Mapping[int, AnalysedPassage]) -> list[int]:
    """Return the numbers of the passages, those first that share most words; in another language, by their order."""

    def compute_value(n: int) -> float:
        passage = passages[n]
        if passage.language != sentence.language:
            return _OTHER_LANGUAGE
        return max(passage.overlaps(sentence.all_words), default=0.0)

    return sorted(passages, key=compute_value, reverse=True)


def shares_words(sentence: Claims, passage: AnalysedPassage) -> bool:
    """Return whether a passage has a sentence with so many of the words that no embedding is needed."""
    words = sentence.all_words
    if sentence.language != passage.language or len(passage.places.keys() & words) < _SAME_WORDS * len(words):
        return False
    return max(passage.overlaps(words), default=0.0) >= _SAME_WORDS


def adds_words(one: Match, other: Match) -> bool:
    """Return whether two stretches together have notably more of a sentence's words than either."""
    words = one.sentence.words
    mine, theirs = words & one.stretch.words, words & other.stretch.words
    return len(mine | theirs) >= max(len(mine), len(theirs)) + _ADDED_WORDS * len(words)


def join_matches(one: Match, other: Match) -> Match:
    """Return the match of a sentence in two passages together."""
    passage = one.passage + other.passage
    stretch = extract_claims(f"{one.stretch.source} {other.stretch.source}")
    overlap = compute_overlap(one.sentence, stretch, across=one.across)
    return Match(one.sentence, passage, stretch, max(one.similarity, other.similarity), overlap, one.near + other.near)


@lru_cache(maxsize=512)
def analyse_passage(text: str, path: str = "") -> AnalysedPassage:
    """Return a passage ready for comparing, its rows as the model reads them; ``path`` is its title and heading."""
    pieces = [piece for piece in split_passage(text) if piece.text]
    found = tuple(piece.text for piece in pieces)
    words = tuple(content_words(normalise_text(sentence)) for sentence in found)
    rows = frozenset(place for place, piece in enumerate(pieces) if piece.kind == "table")
    text = describe_tables(text)
    return AnalysedPassage(f"{path}\n{text}" if path else text, found, words, choose_language(text), rows)


def contains_literally(passage: str, sentence: str) -> bool:
    """Return whether a passage contains a sentence word for word, white space and final stops aside.

    What follows a negation does not count, "reimbursed" in "not reimbursed", and no part of a number: 80 in 8080.
    """
    letters, within = _keep_letters(sentence), _keep_letters(passage)
    before = _BEFORE_NUMBER if letters[:1].isdigit() else _BEFORE
    behind = _BEHIND_NUMBER if letters[-1:].isdigit() else _ANYTHING
    place = within.find(letters) if letters else -1
    while place >= 0:
        if before.match(within, place) and behind.match(within, place + len(letters)):
            return True
        place = within.find(letters, place + 1)
    return False


@lru_cache(maxsize=1024)
def _keep_letters(text: str) -> str:
    return re.sub(r"\s+", "", normalise_text(text)).strip(_BARE)
