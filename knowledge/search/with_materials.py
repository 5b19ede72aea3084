"""Search the documents, the web and the materials of a question; a material comes before all others.

A material that is given with the question is what the answer is about: its best passages are always shown. Another one
of the conversation is shown if it answers, or if nothing else does. The scores are those of a question without
documents, so the confidence compares with that of documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from knowledge.embedding.calibration import SearchCalibration
from knowledge.errors import DatabaseError, StoreError
from knowledge.interfaces import (
    Candidate,
    Chunk,
    Embedder,
    Hit,
    LiveWebRequest,
    Material,
    MaterialOrigin,
    Priority,
    SearchResult,
)
from knowledge.lexical.bm25 import choose_likeliest, estimate_weights
from knowledge.search.plan import QueryPlan
from knowledge.search.ranking.candidates import rank_candidates
from knowledge.search.ranking.fusion import estimate_confidence
from knowledge.search.results import DocumentResults, make_empty_results
from knowledge.search.with_web import DOCUMENT_PLACES
from knowledge.stores.common import run_both

MAX_EMBEDDED: Final = 96
"""Passages of all materials that are embedded at most; two cores embed about 40 a second."""
GIVEN_BYTES: Final = 24_000
"""Text of the passages that are shown: about 6,000 tokens, half of the longest prompt."""
OTHER_BYTES: Final = 8_000
"""The same if no material came with the question itself."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A passage of a material with its place among all of them."""

    material: Material
    chunk: Chunk
    page: int | None
    terms: str
    place: int
    is_opening: bool


SearchRest = Callable[[LiveWebRequest | None], Awaitable[SearchResult]]


async def search_with_materials(
    search_rest: SearchRest,
    embedder: Embedder,
    calibration: SearchCalibration,
    plan: QueryPlan,
    live: LiveWebRequest | None,
    materials: Sequence[Material],
) -> SearchResult:
    """Return the best passages of materials, documents and pages; the first ones are those of materials.

    Raises:
        StoreError, DatabaseError: the documents failed, and there are neither materials nor pages.
        EmbedderError: the question cannot be embedded.

    """
    if not materials:
        return await search_rest(live)
    is_given = any(material.is_given for material in materials)
    if is_given and live is not None and live.when != "always":
        live = None  # the question is about the material, so its words are no reason to search the web
    result, ranked = await run_both(
        _try_rest(search_rest, plan, live), _rank_passages(embedder, calibration, plan, materials)
    )
    return _merge_results(result, ranked, materials, calibration.answerable, is_given=is_given)


async def _try_rest(search_rest: SearchRest, plan: QueryPlan, live: LiveWebRequest | None) -> SearchResult:
    try:
        return await search_rest(live)
    except (StoreError, DatabaseError) as error:
        return SearchResult(plan.question, (), 0.0, answerable=False, trouble=error)


async def _rank_passages(
    embedder: Embedder, calibration: SearchCalibration, plan: QueryPlan, materials: Sequence[Material]
) -> list[Hit]:
    """Return the passages of materials, best first."""
    entries = _list_entries(materials)
    likeliest = choose_likeliest([one.terms for one in entries], plan.terms.split(), MAX_EMBEDDED)
    vector = await embedder.embed_query(plan.words)
    vectors = await embedder.embed_passages(
        [entries[place].chunk.searchable_text for place in likeliest], priority=Priority.ANSWER
    )
    cosines = dict(zip(likeliest, (vectors @ vector).tolist(), strict=True)) if likeliest else {}
    return await asyncio.to_thread(_score_entries, make_empty_results(plan, calibration), entries, cosines)


def _score_entries(results: DocumentResults, entries: Sequence[_Entry], cosines: dict[int, float]) -> list[Hit]:
    plan = results.question.plan
    profile, question = results.question.profile, list(dict.fromkeys(plan.terms.split()))
    ideal = profile.ideal_bm25 / len(question) if question else 0.0
    weights = estimate_weights(question, ideal, [], [one.terms for one in entries])
    candidates = [
        Candidate(one.chunk, weights.score_terms(one.terms), max(0.0, cosines.get(one.place, 0.0))) for one in entries
    ]
    entry_by_id = {one.chunk.id: one for one in entries}
    ranking = rank_candidates(candidates, results.question, {})
    now = datetime.now(UTC)
    return [
        _make_hit(
            entry_by_id[one.candidate.chunk.id],
            one.score,
            ranking.trust * estimate_confidence(one.candidate, profile, results.background),
            now,
        )
        for one in ranking.ranked
    ]


def _merge_results(
    result: SearchResult, ranked: Sequence[Hit], materials: Sequence[Material], sure: float, *, is_given: bool
) -> SearchResult:
    """Return the passages to show; those of other materials must have the confidence ``sure``."""
    attached_ids = {material.id for material in materials if material.is_given}
    others = [hit for hit in ranked if hit.document not in attached_ids and hit.confidence >= sure]
    if is_given:
        openings = {one.chunk.id for one in _list_entries(materials) if one.is_opening}
        ours = [hit for hit in ranked if hit.document in attached_ids]
        first = sorted(ours, key=lambda hit: hit.id not in openings)
        hits = _take_fitting([*first, *others], GIVEN_BYTES)
        documents = [hit for hit in result.hits if hit.web or hit.confidence >= sure][:DOCUMENT_PLACES]
    else:
        hits = _take_fitting(others if others or result.answerable else ranked, OTHER_BYTES)
        documents = list(result.hits)
    if result.trouble is not None and not hits:
        raise result.trouble
    rank = {hit.id: place for place, hit in enumerate(ranked)}
    hits.sort(key=lambda hit: rank[hit.id])
    return replace(
        result,
        hits=(*hits, *documents),
        answerable=result.answerable or bool(hits),
        related=result.related or bool(hits),
    )


def _list_entries(materials: Sequence[Material]) -> list[_Entry]:
    entries: list[_Entry] = []
    for material in materials:
        for place, (chunk, page, words) in enumerate(zip(material.chunks, material.pages, material.terms, strict=True)):
            is_opening = place == 0 and material.is_central
            entries.append(_Entry(material, chunk, page, words, len(entries), is_opening))
    return entries


def _take_fitting(hits: Iterable[Hit], room_bytes: int) -> list[Hit]:
    """Return hits from the first one on while their text has room; the first always has."""
    fitting: list[Hit] = []
    for hit in hits:
        size = len(hit.text.encode(errors="replace"))
        if fitting and size > room_bytes:
            break  # shorter passages that would still fit answer less
        fitting.append(hit)
        room_bytes -= size
    return fitting


def _make_hit(entry: _Entry, score: float, confidence: float, now: datetime) -> Hit:
    chunk = entry.chunk
    return Hit(
        id=chunk.id,
        source="",
        document=chunk.document,
        title=entry.material.title,
        heading=chunk.heading,
        url=entry.material.url,
        text=chunk.text,
        score=score,
        confidence=confidence,
        synced_at=now,
        material=MaterialOrigin(entry.material.kind, entry.page, entry.place, (chunk.url or "").partition("#")[2]),
    )
