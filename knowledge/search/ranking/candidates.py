"""Rank and pick candidates, with one order for documents and web pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.errors import EmbedderError
from knowledge.interfaces import Candidate, CurrentChunk, Vector
from knowledge.search.identifiers import weigh_exact_matches
from knowledge.search.plan import QueryPlan
from knowledge.search.ranking.fusion import QueryProfile, ScoredCandidate, fuse_candidates, penalise_repeats
from knowledge.search.ranking.naming import weigh_document_names
from knowledge.search.ranking.pick import pick_passages


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A planned question, with values from the embedder and the store."""

    plan: QueryPlan
    vector: Vector | None
    """None if the index has the vectors of another embedder, or ``trouble`` says why there is none."""
    profile: QueryProfile
    trouble: EmbedderError | None = None
    """Why words alone find passages, although the index has vectors."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates in their order."""

    ranked: Sequence[ScoredCandidate]
    trust: float
    """The remaining share of the confidence (``weigh_exact_matches``)."""


def rank_candidates(
    candidates: Sequence[Candidate], question: PreparedQuery, current: Mapping[str, CurrentChunk]
) -> Ranking:
    """Return candidates, best first. ``current`` has the configured weights of documents."""
    exact_gains, trust = weigh_exact_matches(candidates, question.plan.names)
    gains = dict(weigh_document_names(candidates, question.plan.words))
    for id_, gain in exact_gains.items():
        gains[id_] = gains.get(id_, 0.0) + gain
    weights = {id_: listed.weight for id_, listed in current.items()}
    return Ranking(penalise_repeats(fuse_candidates(candidates, question.profile, gains, weights)), trust)


def pick_ranked(
    ranked: Sequence[ScoredCandidate],
    question: PreparedQuery,
    current: Mapping[str, CurrentChunk],
    *,
    limit: int,
    per_document: int,
) -> list[ScoredCandidate]:
    """Return the best of ranked candidates without copies (``pick_passages``)."""
    return pick_passages(
        ranked,
        limit,
        per_document,
        alike=question.profile.calibration.alike,
        words=question.plan.words,
        made={id_: listed.modified_at for id_, listed in current.items()},
    )
