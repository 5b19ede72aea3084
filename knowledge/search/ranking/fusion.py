"""Two legs become one order, and one absolute score that says whether there is an answer at all. Pure.

What depends on the embedder is in ``knowledge.embedding.calibration``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from knowledge.embedding.calibration import WORDS_ALONE, SearchCalibration
from knowledge.interfaces import WEB, Candidate, Hit
from knowledge.language import is_cjk

LEXICAL_SHARES = (0.2, 0.5)
"""The best candidate's shares of the ideal BM25 between which the weight of the terms grows from least to most."""

LEXICAL_TERMS = 6
"""Terms of a question. With fewer, some passage has them all by chance, so they weigh less."""

ROWS_UNKNOWN = 10_000
"""The assumed number of rows before they could be counted."""

REPEAT_PENALTY = 0.2
"""The share that a score loses for each better passage of the same document. Of the questions to a real documentation,
1 to 4 % more have their document among the first five with it. From 0.06 to 0.3 the result is the same within 1.5 %."""
_MOST_REPEATS = 4


@dataclass(frozen=True, slots=True)
class QueryProfile:
    """The properties of a question that scores depend on."""

    ideal_bm25: float
    """The score of a passage that alone in the store has every term of the question, each once."""
    cjk: bool
    calibration: SearchCalibration
    dense: bool = True
    """Whether there are cosines. If not, only words count."""
    terms: int = LEXICAL_TERMS
    """The number of distinct terms."""
    rows: int = ROWS_UNKNOWN


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """A candidate with its score."""

    candidate: Candidate
    score: float
    """The score from 0 to 1, comparable within one query."""


_PRIOR_PASSAGES = 10
_BEST_PASSAGES = 10
_POOL_PASSAGES = 40


def profile_query(
    query: str, terms: str, rows: int, calibration: SearchCalibration, *, dense: bool = True
) -> QueryProfile:
    """Describe a question for a store of ``rows`` passages.

    The ideal is ``terms · ln(1 + (rows - 0.5) / 1.5)``: the largest inverse document frequency for each term. It needs
    no statistics of the store, and separated answerable questions from others as well as the exact value.
    """
    distinct = len(set(terms.split()))
    ideal = distinct * math.log1p((max(0, rows - 1) + 0.5) / 1.5)
    return QueryProfile(ideal, is_cjk(query), calibration, dense, distinct, rows)


def fuse_candidates(
    candidates: Sequence[Candidate],
    question: QueryProfile,
    gains: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
) -> tuple[ScoredCandidate, ...]:
    """Return the candidates with their scores, best first; ties by document before web page, then cosine, then id.

    The score is ``w · bm25 / max bm25 + (1 - w) · cosine / max cosine``, where ``w`` is ``compute_lexical_weight``.
    A leg without any result (no lexical hit, no cosine over 0) adds nothing. It is multiplied by
    ``other_language`` where that holds, and by one of ``weights``, 1 where there is none. Then one of ``gains`` is
    added (``identifiers``, ``naming``). Both are by id.
    """
    gained, weighed = gains or {}, weights or {}
    best_bm25 = max((candidate.bm25 for candidate in candidates), default=0.0)
    best_cosine = max((candidate.cosine for candidate in candidates), default=0.0)
    weight = compute_lexical_weight(best_bm25, question)

    def score_candidate(candidate: Candidate) -> float:
        lexical = candidate.bm25 / best_bm25 if best_bm25 > 0 else 0.0
        dense = candidate.cosine / best_cosine if best_cosine > 0 else 0.0
        fused = weight * lexical + (1 - weight) * dense
        if is_cjk(candidate.chunk.searchable_text) != question.cjk:
            fused *= question.calibration.other_language
        return fused * weighed.get(candidate.chunk.id, 1.0) + gained.get(candidate.chunk.id, 0.0)

    ordered = sorted(((score_candidate(one), one) for one in candidates), key=lambda pair: _make_sort_key(*pair))
    most = max(1.0, ordered[0][0]) if ordered else 1.0
    return tuple(ScoredCandidate(one, max(0.0, value / most)) for value, one in ordered)


def compute_lexical_weight(best_bm25: float, question: QueryProfile) -> float:
    """Return the share of the terms in a score, by the share of the question in the best candidate."""
    least, most = question.calibration.lexical_weights
    begin, end = LEXICAL_SHARES
    share = min(1.0, max(0.0, (_compute_share(best_bm25, question) - begin) / (end - begin)))
    return least + (most - least) * share * min(1.0, question.terms / LEXICAL_TERMS)


def penalise_repeats(ranked: Sequence[ScoredCandidate]) -> tuple[ScoredCandidate, ...]:
    """Sort again after each score lost ``REPEAT_PENALTY`` for each better passage of the same document."""
    repeats: Counter[tuple[str, str]] = Counter()
    candidates: list[ScoredCandidate] = []
    for one in ranked:
        document = (one.candidate.chunk.source, one.candidate.chunk.document)
        candidates.append(
            ScoredCandidate(one.candidate, one.score * (1 - REPEAT_PENALTY * min(repeats[document], _MOST_REPEATS)))
        )
        repeats[document] += 1
    return tuple(sorted(candidates, key=lambda one: _make_sort_key(one.score, one.candidate)))


def _compute_share(bm25: float, question: QueryProfile) -> float:
    return min(1.0, bm25 / question.ideal_bm25) if question.ideal_bm25 > 0 else 0.0


def _make_sort_key(score: float, candidate: Candidate) -> tuple[float, bool, float, str]:
    return -score, candidate.chunk.source == WEB, -candidate.cosine, candidate.chunk.id


def estimate_background(cosines: Sequence[float], expected: float) -> float:
    """Return the cosine of passages with this question, whether they answer it or not.

    It is the mean after the ten best of a pool, or after the best quarter of a small one. A few passages are averaged
    with the ``expected`` value.
    """
    best = min(_BEST_PASSAGES, math.ceil(len(cosines) / 4))
    behind = sorted(cosines, reverse=True)[best:_POOL_PASSAGES]
    return fmean([*behind, *[expected] * _PRIOR_PASSAGES])


def estimate_confidence(candidate: Candidate, question: QueryProfile, behind: float) -> float:
    """Return the probability that a passage answers a question.

    A logistic regression. Its features are BM25's share of the ideal score, and the cosine. Across languages, the
    cosine counts as the difference to ``behind``, the pool's ``estimate_background``.
    """
    # Include the title, because code alone looks English.
    across = is_cjk(candidate.chunk.searchable_text) != question.cjk
    fitted = question.calibration.across_languages if across else question.calibration.one_language
    weights = fitted if question.dense else WORDS_ALONE
    share = _compute_share(candidate.bm25, question)
    evidence = (
        weights.cosine * candidate.cosine / 0.1
        + weights.over * (candidate.cosine - behind) / 0.1
        + weights.bm25 * share
        + weights.bm25_root * math.sqrt(share)
        + weights.bias
    )
    return 1 / (1 + math.exp(-evidence))


def estimate_best_confidence(query: str, hits: Sequence[Hit]) -> float:
    """Return the probability that the passages answer a question.

    It is the confidence of the first passage, or of a second one in the question's language. The order of two similar
    passages is chance, and the second may have words that the first lacks. Across languages the second did not help,
    and accepted questions about other subjects.
    """
    cjk = is_cjk(query)
    second = [hit for hit in hits[1:2] if is_cjk(f"{hit.title}\n{hit.heading}\n{hit.text}") == cjk]
    return max((hit.confidence for hit in (*hits[:1], *second)), default=0.0)


def is_related(candidates: Sequence[Candidate], question: QueryProfile) -> bool:
    """Return whether any passage has to do with a question: it shares its meaning, or rare words.

    Unlike the confidence, this does not say that a passage answers. Most questions in people's own words share hardly a
    word with the passage that answers them. A passage of code counts as one in another language, so the lower cosine of
    another language is enough only if no passage is in the question's own.
    """
    limits = question.calibration.related
    growth = limits.per_decade * math.log10(max(1, question.rows) / ROWS_UNKNOWN)
    own_language = [is_cjk(one.chunk.searchable_text) == question.cjk for one in candidates]
    foreign = limits.cosine - limits.across * (not any(own_language))
    own = limits.cjk if question.cjk else limits.cosine
    return any(
        (question.dense and one.cosine >= growth + (own if is_own else foreign))
        or _compute_share(one.bm25, question) >= limits.share
        for one, is_own in zip(candidates, own_language, strict=True)
    )
