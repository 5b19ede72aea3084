"""Rank web pages and documents together. If both are equally good, documents come first. Pure.

The cosines come from one embedder. No store has a page's terms, so ``knowledge.lexical.bm25`` estimates its BM25 score
as the store would. Then both go through the same fusion. A page's passage that repeats a shown document is left out. A
page that the question links to keeps places at any score, and so do documents that are sure enough.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from knowledge.interfaces import WEB, Candidate, Chunk, Hit
from knowledge.lexical import terms
from knowledge.lexical.bm25 import estimate_weights
from knowledge.search.access.scope import passes_filters
from knowledge.search.passages import JOIN_LIMITS, format_passage, grow_passage
from knowledge.search.ranking.candidates import pick_ranked, rank_candidates
from knowledge.search.ranking.fusion import ScoredCandidate, estimate_confidence
from knowledge.search.results import DocumentResults
from knowledge.web.live.web_passages import LivePage

LINKED_PLACES: Final = (3, 2, 1)
"""Places that a linked page keeps: if it is the only one, one of two, or one of more."""

DOCUMENT_PLACES: Final = 3
"""Places that documents keep if they are sure enough, because the web has more pages about most subjects."""

_RUN: Final = 8
"""Letters of a run that is searched in a document."""
_STEP: Final = 4
_SAME_SHARE: Final = 0.9
"""The share of a page's runs in a document that makes the passage a copy."""
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _WebCandidate:
    """A passage of a page."""

    page: LivePage
    place: int
    candidate: Candidate


def rank_with_web(results: DocumentResults, pages: Sequence[LivePage]) -> tuple[tuple[Hit, ...], bool]:
    """Return the best documents and pages, best first, and whether they answer the question.

    Pages have to pass the plan's filters of formats and dates, too. Without pages, the result is that of the documents.
    """
    web = {one.candidate.chunk.id: one for one in _score_pages(results, pages)}
    if not web:
        hits = results.make_hits()
        return hits, results.is_answered_by(hits)
    profile, limit = results.question.profile, results.question.plan.limit
    answerable = profile.calibration.answerable
    ranking = rank_candidates(
        [*results.usable, *(one.candidate for one in web.values())], results.question, results.current
    )
    background = results.background
    eligible = {one.candidate.chunk.id for one in results.ranked_hits} | web.keys()
    ranked = [one for one in ranking.ranked if one.candidate.chunk.id in eligible]
    sure = {
        one.candidate.chunk.id: ranking.trust * estimate_confidence(one.candidate, profile, background)
        for one in ranked
    }
    # ``current`` has no dates of pages: a page chooses its own date, and could displace a similar document by it.
    picked = pick_ranked(ranked, results.question, results.current, limit=limit, per_document=results.per_document)
    linked = list(_find_linked(pages, web, ranked, sure, answerable))
    documents = [one.candidate.chunk.id for one in results.ranked_hits if sure[one.candidate.chunk.id] >= answerable]
    chosen = _choose_shown(ranked, picked, [*linked, *documents[:DOCUMENT_PLACES]][:limit], limit)
    chosen_ids = {one.candidate.chunk.id for one in chosen}
    hits = tuple(
        _make_hit(place, one.score, sure[place.candidate.chunk.id], chosen_ids)
        if (place := web.get(one.candidate.chunk.id))
        else results.make_hit(one, background, ranking.trust)
        for one in chosen
    )
    return hits, bool(linked) or results.is_answered_by(hits)


# ── Pages as candidates ──────────────────────────────────────────────────────────────────────────────────────────────


def _score_pages(results: DocumentResults, pages: Sequence[LivePage]) -> list[_WebCandidate]:
    """Return the passages of pages that may be shown, scored as the store would."""
    profile = results.question.profile
    question = list(dict.fromkeys(results.question.plan.terms.split()))
    measured = [one.terms for page in pages for one in page.scores.values()]
    scored_terms = [(terms.index_terms(one.chunk.searchable_text), one.bm25) for one in results.usable if one.bm25 > 0]
    weigh = estimate_weights(question, profile.ideal_bm25 / len(question) if question else 0.0, scored_terms, measured)
    document_texts = _TextIndex(_iterate_document_texts(results))
    return [
        _WebCandidate(
            page,
            place,
            Candidate(page.chunks[place], weigh.score_terms(one.terms), one.cosine if profile.dense else 0.0),
        )
        for page in pages
        for place, one in sorted(page.scores.items())
        if passes_filters((chunk := page.chunks[place]).kind, chunk.modified_at, results.question.plan.scope)
        and not document_texts.has_copy(chunk.text)
    ]


def _iterate_document_texts(results: DocumentResults) -> Iterator[str]:
    """Yield the texts of shown documents, with their joined neighbours."""
    for one in results.ranked_hits:
        passage = results.passages.get(one.candidate.chunk.id)
        yield one.candidate.chunk.text if passage is None or not passage.text else passage.text


class _TextIndex:
    """Texts in which copies are searched."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = [
            (set(_iterate_runs(letters, 1)), set(_NUMBER.findall(text)))
            for text in texts
            if (letters := _normalise_text(text))
        ]

    def has_copy(self, text: str) -> bool:
        """Return whether one of the texts says nearly the same, with all of its numbers."""
        letters, numbers = _normalise_text(text), set(_NUMBER.findall(text))
        runs = list(_iterate_runs(letters, _STEP))
        return bool(runs) and any(
            numbers <= theirs and sum(run in known for run in runs) >= _SAME_SHARE * len(runs)
            for known, theirs in self._texts
        )


def _normalise_text(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _iterate_runs(letters: str, step: int) -> Iterator[str]:
    return (letters[start : start + _RUN] for start in range(0, max(1, len(letters) - _RUN + 1), step))


# ── Linked pages ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _find_linked(
    pages: Sequence[LivePage],
    web: Mapping[str, _WebCandidate],
    ranked: Sequence[ScoredCandidate],
    sure: Mapping[str, float],
    answerable: float,
) -> Iterator[str]:
    """Yield the ids of passages that keep a place: the best of each linked page, or its first if none answers."""
    linked = [page for page in pages if page.is_linked]
    places = LINKED_PLACES[min(len(linked), len(LINKED_PLACES)) - 1]
    for page in linked:
        best = [id_ for one in ranked if (place := web.get(id_ := one.candidate.chunk.id)) and place.page is page]
        if max((sure[id_] for id_ in best), default=0.0) < answerable:
            best.sort(key=lambda id_: web[id_].place)
        yield from best[:places]


def _choose_shown(
    ranked: Sequence[ScoredCandidate], picked: Sequence[ScoredCandidate], linked_ids: Collection[str], limit: int
) -> list[ScoredCandidate]:
    """Return the picked passages, the last ones replaced by those that keep a place; best first."""
    ids = {one.candidate.chunk.id for one in picked}
    added = [one for one in ranked if one.candidate.chunk.id in linked_ids and one.candidate.chunk.id not in ids]
    free = [one for one in picked if one.candidate.chunk.id not in linked_ids]
    given_up = set(map(id, free[len(free) - max(0, len(picked) + len(added) - limit) :]))
    return sorted(
        [*(one for one in picked if id(one) not in given_up), *added],
        key=lambda one: (-one.score, one.candidate.chunk.source == WEB),
    )


# ── Shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _make_hit(place: _WebCandidate, score: float, sure: float, chosen_ids: Collection[str]) -> Hit:
    page, chunk = place.page, place.candidate.chunk
    parts = grow_passage(chunk, _find_stretch(page.chunks, place.place, chosen_ids), JOIN_LIMITS)
    return Hit(
        id=chunk.id,
        source="",
        document=chunk.document,
        title=chunk.title,
        heading=chunk.heading,
        url=chunk.url,
        text=chunk.text,
        score=score,
        confidence=sure,
        synced_at=page.web.fetched_at,
        context=format_passage(chunk, parts) if len(parts) > 1 else "",
        chunks=tuple(part.id for part in parts),
        web=page.web,
    )


def _find_stretch(chunks: Sequence[Chunk], place: int, chosen_ids: Collection[str]) -> list[Chunk]:
    """Return the chunks around a passage, up to the next chunk that is shown by itself."""
    before: list[Chunk] = []
    for chunk in chunks[max(0, place - JOIN_LIMITS.reach) : place]:
        before = [] if chunk.id in chosen_ids else [*before, chunk]
    after: list[Chunk] = []
    for chunk in chunks[place + 1 : place + 1 + JOIN_LIMITS.reach]:
        if chunk.id in chosen_ids:
            break
        after.append(chunk)
    return list(chain(before, [chunks[place]], after))
