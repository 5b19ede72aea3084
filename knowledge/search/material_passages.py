"""The passages of files and messages that come with a question, in the order in which they answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from knowledge.embedding.calibration import SearchCalibration
from knowledge.interfaces import Candidate, Chunk, Embedder, Hit, Material, MaterialOrigin, Priority, Vector
from knowledge.lexical.bm25 import estimate_weights
from knowledge.search.plan import plan_query
from knowledge.search.ranking.candidates import rank_candidates
from knowledge.search.ranking.fusion import estimate_confidence
from knowledge.search.results import DocumentResults, make_empty_results


@dataclass(frozen=True, slots=True)
class MaterialEntry:
    """A passage of a material with its place among all of them."""

    material: Material
    chunk: Chunk
    page: int | None
    terms: str
    place: int
    is_opening: bool


def score_entries(
    results: DocumentResults, entries: Sequence[MaterialEntry], cosines: Mapping[int, float]
) -> list[Hit]:
    """Return the passages, best first; one without a cosine counts by its words alone."""
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


def list_entries(materials: Sequence[Material]) -> list[MaterialEntry]:
    """Return the passages of all materials, in their order."""
    entries: list[MaterialEntry] = []
    for material in materials:
        for place, (chunk, page, words) in enumerate(zip(material.chunks, material.pages, material.terms, strict=True)):
            is_opening = place == 0 and material.is_central
            entries.append(MaterialEntry(material, chunk, page, words, len(entries), is_opening))
    return entries


def _make_hit(entry: MaterialEntry, score: float, confidence: float, now: datetime) -> Hit:
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


@dataclass(frozen=True, slots=True)
class MaterialIndex:
    """A file that many questions search, such as a contract with a question for each clause: it is embedded once."""

    _embedder: Embedder
    _calibration: SearchCalibration
    entries: Sequence[MaterialEntry]
    """All passages, in the order of the file."""
    _vectors: Vector

    async def search(self, question: str) -> list[Hit]:
        """Return all passages, best first; ``Hit.material`` has the place of each in the file.

        Raises:
            EmbedderError: the question cannot be embedded.

        """
        plan = plan_query(question, {}, datetime.now(UTC))
        vector = await self._embedder.embed_query(plan.words)
        cosines = dict(enumerate((self._vectors @ vector).tolist()))
        return await asyncio.to_thread(
            score_entries, make_empty_results(plan, self._calibration), self.entries, cosines
        )


async def index_material(embedder: Embedder, calibration: SearchCalibration, material: Material) -> MaterialIndex:
    """Embed all passages of a file.

    Raises:
        EmbedderError: the passages cannot be embedded.

    """
    entries = list_entries([material])
    texts = [entry.chunk.searchable_text for entry in entries]
    vectors = await embedder.embed_passages(texts, priority=Priority.ANSWER)
    return MaterialIndex(embedder, calibration, entries, vectors)
