"""What a question names exactly counts more than what is near in meaning. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.interfaces import Candidate
from knowledge.search.identifiers import Identifier, fold_text

EXACT_WEIGHTS = {True: 1.0, False: 0.4}
"""What a passage gains at most, of a score of 1, by holding all that the question names exactly; by whether the name is
telling. A telling one wins over any nearness, a file or a version helps: it may be the asker's own.
"""

ABSENT = 0.25
"""What is left of the confidence when no passage holds a name that only documents which hold it can explain."""


@dataclass(frozen=True, slots=True)
class ExactMatches:
    """How what a question names exactly lies among the candidates."""

    gains: Mapping[str, float]
    """What each candidate gains by the names that it holds, by its id; those that gain nothing are left out."""
    trust: float
    """What is left of the confidence: ``ABSENT`` when a telling name is in none of them, else 1."""


def weigh_exact_matches(candidates: Sequence[Candidate], names: Sequence[Identifier]) -> ExactMatches:
    """Look for the names in the candidates: the fewer hold one, the more it is worth.

    A name that is anywhere in the scope is among the candidates, because no term is rarer to the lexical leg.
    """
    if not names or not candidates:
        return ExactMatches({}, 1.0)
    texts = {one.chunk.id: fold_text(one.chunk.searchable_text) for one in candidates}
    holding = {name.name: {id_ for id_, text in texts.items() if name.held_by(text)} for name in names}
    gains: dict[str, float] = {}
    for name in names:
        ids = holding[name.name]
        gain = EXACT_WEIGHTS[name.telling] / len(names) * (1 - len(ids) / len(candidates))
        gains.update({id_: gains.get(id_, 0.0) + gain for id_ in ids})
    absent = any(name.telling and not holding[name.name] for name in names)
    return ExactMatches(gains, ABSENT if absent else 1.0)
