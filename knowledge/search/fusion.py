"""Two legs become one order, and one absolute score that says whether there is an answer at all. Pure.

The constants belong to multilingual-e5-small and to BM25 with k1 = 1.2 and b = 0.75 over the terms of
``knowledge.terms``; ``scripts/eval_retrieval.py`` measures them, and another embedder needs them measured again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from knowledge.interfaces import Candidate, Hit
from knowledge.language import is_cjk

FLOOR = 0.70
"""The cosine of texts that have nothing to do with each other."""

LEXICAL_WEIGHT = 0.2
"""Of 0.1 to 0.4: more helps a little within one language and ruins the search across languages."""

ANSWERABLE = 0.3
"""How sure ``surest`` must be for there to be taken to be an answer.

Measured by ``scripts/eval_retrieval.py`` over the embedded store, on all questions: none were held out, both halves
were seen while the weights were chosen (they differ by 4 points at most). On the hardest kind (the answer taken away,
the rest of its article left) are wrongly rejected / wrongly accepted: of xquad's questions 9 / 20 % in English and 12
/ 25 % in Chinese, of cmrc2018's 5 / 17 %. Across languages it tells less: 32 / 35 % of Chinese questions to English,
44 / 21 % of English ones to Chinese. Of a hundred short questions to a real documentation 4 / 6 %. Rejecting is the
worse error, since what is accepted is checked again, sentence by sentence. A weight on BM25 that fits these sets
alone (7.9) would reject questions that use other words than the passage; 5.8 was chosen by hand.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the scores must know of a question."""

    ideal_bm25: float
    """What a passage would score that alone in the store holds every term of the question, each once."""
    cjk: bool
    """Whether it is written in Chinese, Japanese or Korean."""
    dense: bool = True
    """Whether there are cosines; without, only words tell."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its place in the order."""

    candidate: Candidate
    score: float
    """0 to 1, comparable within one query."""


@dataclass(frozen=True, slots=True)
class _Weights:
    """A logistic regression's: per 0.1 of cosine over the expected one, per share of the ideal BM25, and alone."""

    cosine: float
    bm25: float
    bias: float


_ONE_LANGUAGE = _Weights(cosine=6.3, bm25=5.8, bias=-7.25)
_ACROSS = _Weights(cosine=6.63, bm25=3.84, bias=-3.2)
_WORDS_ALONE = _Weights(cosine=0.0, bm25=5.8, bias=-3.2)

_EXPECTED = {False: 0.78, True: 0.81}
"""The cosine of a question with a passage of its language that does not answer it, by whether that is CJK."""

_EXPECTED_ACROSS = 0.75
_PRIOR_PASSAGES = 10
_BEST_PASSAGES = 10
_POOL_PASSAGES = 40


def asked(query: str, terms: str, rows: int, *, dense: bool = True) -> Asked:
    """Describe a question to a store of ``rows`` passages.

    The ideal is ``terms · ln(1 + (rows - 0.5) / 1.5)``: the largest inverse document frequency for each term. It needs
    no statistics from the store, and told answerable questions from others as well as the exact one did.
    """
    distinct = len(set(terms.split()))
    return Asked(distinct * math.log1p((max(0, rows - 1) + 0.5) / 1.5), cjk=is_cjk(query), dense=dense)


def fuse(candidates: Sequence[Candidate], gains: Mapping[str, float] | None = None) -> tuple[Scored, ...]:
    """Order candidates, best first; equal scores by cosine, then by id, so that one input has one order.

    The score is ``0.2 · bm25 / max bm25 + 0.8 · (cosine - 0.70) / (max cosine - 0.70)``; a leg in which nothing stands
    out (no lexical hit, no cosine over 0.70) adds nothing. ``gains`` are added, by id; see ``knowledge.search.exact``.
    """
    gained = gains or {}
    best_bm25 = max((candidate.bm25 for candidate in candidates), default=0.0)
    best_cosine = max((candidate.cosine for candidate in candidates), default=0.0)

    def score(candidate: Candidate) -> float:
        lexical = candidate.bm25 / best_bm25 if best_bm25 > 0 else 0.0
        dense = (candidate.cosine - FLOOR) / (best_cosine - FLOOR) if best_cosine > FLOOR else 0.0
        return LEXICAL_WEIGHT * lexical + (1 - LEXICAL_WEIGHT) * dense + gained.get(candidate.chunk.id, 0.0)

    ordered = sorted(((score(one), one) for one in candidates), key=lambda pair: _order(*pair))
    return tuple(Scored(one, min(1.0, max(0.0, value))) for value, one in ordered)


def _order(score: float, candidate: Candidate) -> tuple[float, float, str]:
    return -score, -candidate.cosine, candidate.chunk.id


def background(cosines: Sequence[float]) -> float:
    """Return the cosine that passages of another language have with this question whether they answer it or not.

    The mean of what comes after the ten best of a pool, or after its best quarter where it is small, held towards 0.75
    while there are few.
    """
    best = min(_BEST_PASSAGES, math.ceil(len(cosines) / 4))
    behind = sorted(cosines, reverse=True)[best:_POOL_PASSAGES]
    return fmean([*behind, *[_EXPECTED_ACROSS] * _PRIOR_PASSAGES])


def confidence(candidate: Candidate, question: Asked, behind: float) -> float:
    """Return how sure it is that a passage answers a question, 0 to 1; one half is even odds.

    A logistic regression on the cosine over the expected one and on BM25's share of the ideal. What is expected depends
    on the languages: English cosines lie lower than Chinese ones, and across languages they move with each question, so
    there the pool's own ``background`` is taken, given as ``behind``.
    """
    cjk = is_cjk(candidate.chunk.searchable)  # with the title: code alone looks English
    across = cjk != question.cjk
    weights, expected = (_ACROSS, behind) if across else (_ONE_LANGUAGE, _EXPECTED[cjk])
    if not question.dense:
        weights = _WORDS_ALONE
    share = min(1.0, candidate.bm25 / question.ideal_bm25) if question.ideal_bm25 > 0 else 0.0
    over = (candidate.cosine - expected) / 0.1
    return 1 / (1 + math.exp(-(weights.cosine * over + weights.bm25 * share + weights.bias)))


def surest(query: str, hits: Sequence[Hit]) -> float:
    """Return how sure it is that the passages answer a question, 0 to 1.

    The first passage's confidence, or the second's where that is written in the question's language: of two near ones
    the order is chance, and what the first lacks in words the second may have. Across languages the second told nothing
    and let questions about other things through.
    """
    cjk = is_cjk(query)
    second = [hit for hit in hits[1:2] if is_cjk(f"{hit.title}\n{hit.heading}\n{hit.text}") == cjk]
    return max((hit.confidence for hit in (*hits[:1], *second)), default=0.0)
