"""The results of a question among the documents. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from knowledge.embedding.calibration import SearchCalibration
from knowledge.interfaces import Candidate, CurrentChunk, Hit, SearchResult
from knowledge.search.passages import JoinedPassage
from knowledge.search.plan import QueryPlan
from knowledge.search.ranking.candidates import PreparedQuery
from knowledge.search.ranking.fusion import (
    ROWS_UNKNOWN,
    ScoredCandidate,
    estimate_background,
    estimate_best_confidence,
    estimate_confidence,
    is_related,
    profile_query,
)

PER_DOCUMENT = 5
"""Passages of one document before others get their turn. It has more only if others do not fill the limit. With 3, the
one right passage of eight was left out for 0.4 % of xquad's questions, with 5 for none."""


@dataclass(frozen=True, slots=True)
class DocumentResults:
    """The results of a question, with everything that ranking web pages needs (``with_web``)."""

    question: PreparedQuery
    per_document: int = PER_DOCUMENT
    usable: Sequence[Candidate] = ()
    ranked_hits: Sequence[ScoredCandidate] = ()
    """The passages to show if there are no web pages."""
    current: Mapping[str, CurrentChunk] = field(default_factory=dict)
    passages: Mapping[str, JoinedPassage] = field(default_factory=dict)
    trust: float = 1.0
    """The remaining share of the confidence (``weigh_exact_matches``)."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Passages that the store proposed and the manifest refused for their readers, by the source's name."""
    damaged: frozenset[str] = frozenset()
    """Passages whose text in the store is not the one that was indexed."""

    @property
    def background(self) -> float:
        """Return the cosine of passages with this question, whether they answer it or not."""
        return estimate_background([one.cosine for one in self.usable], self.question.profile.calibration.background)

    def make_hits(self) -> tuple[Hit, ...]:
        """Return the hits to show, best first."""
        background = self.background
        return tuple(self.make_hit(one, background, self.trust) for one in self.ranked_hits)

    def make_hit(self, one: ScoredCandidate, background: float, trust: float) -> Hit:
        """Return one of ``usable`` as a hit."""
        chunk = one.candidate.chunk
        current, passage = self.current[chunk.id], self.passages.get(chunk.id)
        return Hit(
            id=chunk.id,
            source=current.source_name,
            document=chunk.document,
            title=chunk.title,
            heading=chunk.heading,
            url=chunk.url,
            text=chunk.text,
            score=one.score,
            confidence=trust * estimate_confidence(one.candidate, self.question.profile, background),
            synced_at=current.synced_at,
            context="" if passage is None else passage.text,
            chunks=(chunk.id,) if passage is None else passage.chunks,
        )

    def to_result(self) -> SearchResult:
        """Return the hits as the result of a search, which took no time yet."""
        hits = self.make_hits()
        refused = sum(self.refused.values())
        answerable = self.is_answered_by(hits)
        related = answerable or is_related(self.usable, self.question.profile)
        return SearchResult(
            self.question.plan.question,
            hits,
            0.0,
            answerable,
            trouble=self.question.trouble,
            refused_count=refused,
            related=related,
        )

    def is_answered_by(self, hits: Sequence[Hit]) -> bool:
        """Return whether these passages are sure enough to answer the question."""
        return estimate_best_confidence(self.question.plan.words, hits) >= self.question.profile.calibration.answerable


FindDocuments = Callable[[QueryPlan], Awaitable[DocumentResults]]
"""Returns what the documents have for a question."""


def make_empty_results(plan: QueryPlan, calibration: SearchCalibration, *, dense: bool = True) -> DocumentResults:
    """Return the results of a search without documents; ``dense`` is whether there are cosines."""
    profile = profile_query(plan.words, plan.terms, ROWS_UNKNOWN, calibration, dense=dense)
    return DocumentResults(PreparedQuery(plan, None, profile))
