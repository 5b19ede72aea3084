"""Search the documents, the web and the materials of a question; a material comes before all others.

A material that is given with the question is what the answer is about: its best passages are always shown. Another one
of the conversation is shown if it answers, or if nothing else does. The scores are those of a question without
documents, so the confidence compares with that of documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from knowledge.embedding.calibration import SearchCalibration
from knowledge.errors import DatabaseError, EmbedderError, StoreError
from knowledge.interfaces import (
    Embedder,
    Hit,
    LiveWebRequest,
    Material,
    Priority,
    SearchResult,
)
from knowledge.lexical.bm25 import choose_likeliest
from knowledge.search.material_passages import list_entries, score_entries
from knowledge.search.plan import QueryPlan
from knowledge.search.results import make_empty_results
from knowledge.search.with_web import DOCUMENT_PLACES
from knowledge.stores.common import run_both

MAX_EMBEDDED: Final = 96
"""Passages of all materials that are embedded at most; two cores embed about 40 a second."""
GIVEN_BYTES: Final = 24_000
"""Text of the passages that are shown: about 6,000 tokens, half of the longest prompt."""
OTHER_BYTES: Final = 8_000
"""The same if no material came with the question itself."""


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

    """
    if not materials:
        return await search_rest(live)
    is_given = any(material.is_given for material in materials)
    if is_given and live is not None and live.when != "always":
        live = None  # the question is about the material, so its words are no reason to search the web
    result, (ranked, trouble) = await run_both(
        _try_rest(search_rest, plan, live), _rank_passages(embedder, calibration, plan, materials)
    )
    result = replace(result, trouble=result.trouble or trouble)
    return _merge_results(result, ranked, materials, calibration.answerable, is_given=is_given)


async def _try_rest(search_rest: SearchRest, plan: QueryPlan, live: LiveWebRequest | None) -> SearchResult:
    try:
        return await search_rest(live)
    except (StoreError, DatabaseError) as error:
        return SearchResult(plan.question, (), 0.0, answerable=False, trouble=error)


async def _rank_passages(
    embedder: Embedder, calibration: SearchCalibration, plan: QueryPlan, materials: Sequence[Material]
) -> tuple[list[Hit], EmbedderError | None]:
    """Return the passages of materials, best first, and why words alone order them."""
    entries = list_entries(materials)
    likeliest = choose_likeliest([one.terms for one in entries], plan.terms.split(), MAX_EMBEDDED)
    cosines: dict[int, float] = {}
    trouble = None
    try:
        vector = await embedder.embed_query(plan.words)
        vectors = await embedder.embed_passages(
            [entries[place].chunk.searchable_text for place in likeliest], priority=Priority.ANSWER
        )
        cosines = dict(zip(likeliest, (vectors @ vector).tolist(), strict=True)) if likeliest else {}
    except EmbedderError as error:
        trouble = error
    results = make_empty_results(plan, calibration, dense=trouble is None)
    return await asyncio.to_thread(score_entries, results, entries, cosines), trouble


def _merge_results(
    result: SearchResult, ranked: Sequence[Hit], materials: Sequence[Material], sure: float, *, is_given: bool
) -> SearchResult:
    """Return the passages to show; those of other materials must have the confidence ``sure``."""
    attached_ids = {material.id for material in materials if material.is_given}
    others = [hit for hit in ranked if hit.document not in attached_ids and hit.confidence >= sure]
    if is_given:
        openings = {one.chunk.id for one in list_entries(materials) if one.is_opening}
        ours = [hit for hit in ranked if hit.document in attached_ids]
        first = sorted(ours, key=lambda hit: hit.id not in openings)
        hits = _take_fitting([*first, *others], GIVEN_BYTES)
        documents = [hit for hit in result.hits if hit.web or hit.confidence >= sure][:DOCUMENT_PLACES]
    else:
        hits = _take_fitting(others if others or result.answerable else ranked, OTHER_BYTES)
        documents = list(result.hits)
    if isinstance(result.trouble, StoreError | DatabaseError) and not hits:
        raise result.trouble
    rank = {hit.id: place for place, hit in enumerate(ranked)}
    hits.sort(key=lambda hit: rank[hit.id])
    return replace(
        result,
        hits=(*hits, *documents),
        answerable=result.answerable or bool(hits),
        related=result.related or bool(hits),
    )


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
