"""The checker that decides by features, and by a judge where they leave a sentence undecided.

A linear model over ``features.FEATURES`` decides. There is one for a sentence and a passage in the same language, and
one across languages, where words cannot be compared.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

from bot.answering.events import Passage
from bot.answering.support.claims import extract_claims
from bot.answering.support.conflicts import is_contradicted
from bot.answering.support.embedding_cache import Embed, EmbeddingCache
from bot.answering.support.features import compute_features, compute_margin
from bot.answering.support.interfaces import Judge, NewChecker, Verdict
from bot.answering.support.matching import (
    LIKELY_ACROSS,
    AnalysedPassage,
    Match,
    adds_words,
    analyse_passage,
    contains_literally,
    join_matches,
    match_passages,
    rank_passages,
    shares_words,
)
from bot.answering.support.normalisation import find_subject, resolve_pronoun, strip_frame
from knowledge.embedding.calibration import SupportCalibration

_CANDIDATES = 3
_UNSUPPORTED = -1.2
"""The judge is asked above this logit: a strange number is below it, what is subtly false often far above."""
_LARGEST_LOGIT = 12.0


def feature_checkers(embed: Embed, calibration: SupportCalibration) -> NewChecker:
    """Return what makes the checker of each answer; all of them share one cache of vectors.

    ``calibration`` has the constants of the embedder.
    """
    return functools.partial(FeatureChecker, EmbeddingCache(embed), calibration)


@dataclass(frozen=True, slots=True)
class _Finding:
    """What the features say of a sentence and one or two passages."""

    passages: tuple[int, ...]
    match: Match
    is_contradicted: bool
    margin: float
    """The logit of its support."""

    @property
    def probability(self) -> float:
        """Return the probability that the passages support the sentence."""
        return _compute_probability(self.margin)

    @property
    def is_supported(self) -> bool:
        """Whether the features support the sentence."""
        return self.margin >= 0 and not self.is_contradicted


class FeatureChecker:
    """An ``SupportChecker`` that compares each sentence of an answer with the passages."""

    def __init__(self, embed: EmbeddingCache, weights: SupportCalibration, judge: Judge | None = None) -> None:
        self._embed = embed
        self._weights = weights
        self._judge = judge
        self._passages: dict[int, AnalysedPassage] = {}
        self._question = extract_claims("")
        self._subject = ""

    async def prepare(self, passages: Sequence[Passage], question: str = "") -> None:
        """Split the passages into sentences and words.

        Only what is in another language than the question, where words say nothing, is embedded in advance.

        Raises:
            KnowledgeError: the embedder failed.

        """
        self._question, self._subject = extract_claims(question), find_subject(question)
        self._passages = {
            passage.n: analyse_passage(passage.text, f"{passage.document} › {passage.title} › {passage.heading}")
            for passage in passages
        }
        foreign = [p for p in self._passages.values() if question and p.language != self._question.language]
        if foreign:
            await self._embed([sentence for p in foreign for sentence in p.sentences[:LIKELY_ACROSS]])

    async def check_sentence(self, sentence: str, cited: Collection[int] = ()) -> Verdict:
        """Return the verdict on a sentence; the passages in ``cited`` are always compared with it.

        Raises:
            KnowledgeError: the embedder failed.

        """
        claim, subject = strip_frame(sentence), self._subject
        self._subject = find_subject(claim) or subject
        if not claim:
            return Verdict("unsupported")
        literal = tuple(n for n, passage in self._passages.items() if contains_literally(passage.text, claim))
        if literal:
            return Verdict(
                "supported", _prefer_cited(literal, cited)[:1], await self._find_contradicting(claim, literal), 1.0
            )
        findings = await self._find_support(claim, cited)
        verdict = _decide_by_features(findings, cited)
        if self._judge is None or not findings or verdict.kind == "contradicted":
            return verdict
        return await self._ask_judge(self._judge, resolve_pronoun(claim, subject), findings, verdict)

    async def _find_support(self, claim: str, cited: Collection[int]) -> list[_Finding]:
        """Return what the features say of each candidate and of the best pair, the best first."""
        sentence = extract_claims(claim)
        ranked = rank_passages(sentence, self._passages)
        candidates = {n: self._passages[n] for rank, n in enumerate(ranked) if rank < _CANDIDATES or n in cited}
        matches = await match_passages(sentence, candidates, self._embed, self._weights.scale)
        findings = [self._assess_match((n,), match) for n, match in matches.items()]
        if not any(finding.is_supported or finding.is_contradicted for finding in findings):
            findings += [
                self._assess_match((n, m), join_matches(matches[n], matches[m]))
                for n, m in combinations(matches, 2)
                if adds_words(matches[n], matches[m])
            ]
        return sorted(findings, key=lambda finding: -finding.margin)

    def _assess_match(self, passages: tuple[int, ...], match: Match) -> _Finding:
        weights = self._weights.across if match.across else self._weights.same
        margin = compute_margin(weights, compute_features(match, self._question))
        return _Finding(passages, match, is_contradicted(match), margin)

    async def _find_contradicting(self, claim: str, supporting: Collection[int]) -> tuple[int, ...]:
        """Return the other passages that contradict a claim which these contain word for word."""
        sentence = extract_claims(claim)
        others = {n: p for n, p in self._passages.items() if n not in supporting and shares_words(sentence, p)}
        matches = await match_passages(sentence, others, self._embed, self._weights.scale)
        return tuple(n for n, match in matches.items() if is_contradicted(match))

    async def _ask_judge(self, judge: Judge, claim: str, findings: Sequence[_Finding], verdict: Verdict) -> Verdict:
        """Return the verdict of features and judge together; the features' own one where the judge is not needed."""
        best = next((finding for finding in findings if not finding.is_contradicted), None)
        if best is None or best.margin <= _UNSUPPORTED:
            return verdict
        passages = verdict.passages or best.passages
        stated = await judge.judge(claim, passages)
        if stated is None:
            return verdict
        total = judge.features_weight * best.margin + _compute_logit(stated)
        score = _compute_probability(total)
        if total < 0:
            return Verdict("unsupported", score=score)
        return Verdict("supported", passages, verdict.against, score)


def _decide_by_features(findings: Sequence[_Finding], cited: Collection[int]) -> Verdict:
    """Return the features' verdict; ``findings`` has the best first."""
    against = tuple(n for finding in findings if finding.is_contradicted for n in finding.passages)
    supporting = [finding for finding in findings if finding.is_supported]
    if supporting:
        score = supporting[0].probability
        if len(supporting[0].passages) > 1:
            return Verdict("supported", supporting[0].passages, against, score)
        return Verdict(
            "supported", _prefer_cited([finding.passages[0] for finding in supporting], cited), against, score
        )
    if against:
        return Verdict("contradicted", against=against)
    return Verdict("unsupported", score=max((finding.probability for finding in findings), default=0.0))


def _compute_probability(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


def _compute_logit(probability: float) -> float:
    bounded = min(max(probability, 1e-9), 1.0 - 1e-9)
    return max(-_LARGEST_LOGIT, min(_LARGEST_LOGIT, math.log(bounded / (1.0 - bounded))))


def _prefer_cited(found: Sequence[int], cited: Collection[int]) -> tuple[int, ...]:
    """Return those that the model named if any of them is right, else the best one."""
    named = tuple(n for n in found if n in cited)
    return named[:3] or tuple(found[:1])
