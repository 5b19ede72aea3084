"""Rank a passage that has the exact names of a question above passages that are only similar. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.interfaces import Candidate
from knowledge.search.identifiers import Identifier, fold_text

EXACT_WEIGHTS = {True: 1.0, False: 0.4}
"""What a passage gains at most, of a score of 1, by having all exact names of the question, by whether a name is
telling. A telling name beats any similarity. A file name or a version helps less, because it may be the asker's own."""

MISSING_NAME_TRUST = 0.25
"""The remaining share of the confidence if no passage has a name that only documents with it can explain."""


@dataclass(frozen=True, slots=True)
class ExactMatches:
    """How the exact names of a question occur in the candidates."""

    gains: Mapping[str, float]
    """The gain of each candidate by the names that it has, by its id. Candidates without a gain are left out."""
    trust: float
    """The remaining share of the confidence: ``MISSING_NAME_TRUST`` if no candidate has a telling name, else 1."""


def weigh_exact_matches(candidates: Sequence[Candidate], names: Sequence[Identifier]) -> ExactMatches:
    """Find the names in the candidates. A name is worth more if fewer candidates have it.

    A name that occurs anywhere in the scope is among the candidates, because the lexical leg ranks rare terms first.
    """
    if not names or not candidates:
        return ExactMatches({}, 1.0)
    texts = {one.chunk.id: fold_text(one.chunk.searchable_text) for one in candidates}
    holding = {name.name: {id_ for id_, text in texts.items() if name.occurs_in(text)} for name in names}
    gains: dict[str, float] = {}
    for name in names:
        ids = holding[name.name]
        gain = EXACT_WEIGHTS[name.telling] / len(names) * (1 - len(ids) / len(candidates))
        gains.update({id_: gains.get(id_, 0.0) + gain for id_ in ids})
    absent = any(name.telling and not holding[name.name] for name in names)
    return ExactMatches(gains, MISSING_NAME_TRUST if absent else 1.0)
