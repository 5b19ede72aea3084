"""The verifier that decides by features whether a passage supports a sentence.

A logistic model over ``features.FEATURES`` decides, one for a sentence and a passage in the same language and one
across languages, where words cannot be compared.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.answering.events import Passage
from bot.answering.sentences import sentences, unwrap
from bot.answering.verification.embedding_cache import Embed, EmbeddingCache
from bot.answering.verification.features import compute_features
from bot.answering.verification.interfaces import Judge, NewVerifier, Verdict
from bot.answering.verification.passages import (
    AnalysedPassage,
    AnalysedSentence,
    analyse_passage,
    analyse_sentence,
    contains_literally,
    stretch_similarities,
)
from bot.answering.verification.weights import WEIGHTS_ACROSS, WEIGHTS_SAME

_CANDIDATES = 3


def feature_verifiers(embed: Embed) -> NewVerifier:
    """Return what makes the verifier of each answer; all of them share one cache of vectors."""
    cached = EmbeddingCache(embed)
    return functools.partial(FeatureVerifier, cached)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A passage whose sentences are embedded."""

    n: int
    text: str
    analysed: AnalysedPassage
    vectors: NDArray[np.float32]
    """Of its sentences, shape ``(sentences, dimensions)``."""


@dataclass(frozen=True, slots=True)
class _Score:
    """How well a passage supports a sentence."""

    probability: float
    threshold: float

    @property
    def ratio(self) -> float:
        """Return the probability over its threshold: 1 and more is enough."""
        return self.probability / self.threshold


class FeatureVerifier:
    """An ``AnswerVerifier`` that compares each sentence of an answer with the passages."""

    def __init__(self, embed: Embed, judge: Judge | None = None) -> None:
        self._embed = embed
        self._judge = judge
        self._prepared: tuple[_Prepared, ...] = ()

    async def prepare(self, passages: Sequence[Passage], question: str = "") -> None:  # noqa: ARG002
        """Analyse the passages and embed their sentences.

        Raises:
            KnowledgeError: the embedder failed.

        """
        texts = [sentences(unwrap(passage.text)) for passage in passages]
        vectors = await self._embed([text for found in texts for text in found])
        analysed = await asyncio.to_thread(_analyse, passages)
        prepared, start = [], 0
        for passage, found, of in zip(passages, texts, analysed, strict=True):
            if found:
                prepared.append(_Prepared(passage.n, passage.text, of, vectors[start : start + len(found)]))
            start += len(found)
        self._prepared = tuple(prepared)

    async def verify(self, sentence: str, cited: Collection[int] = ()) -> Verdict:
        """Return the verdict on a sentence; the passages in ``cited`` are always compared with it.

        Raises:
            KnowledgeError: the embedder failed.

        """
        literal = tuple(one.n for one in self._prepared if contains_literally(one.text, sentence))
        if literal:
            return Verdict("supported", _prefer(literal, cited)[:1], score=1.0)
        vector = (await self._embed([sentence]))[0]
        analysed = analyse_sentence(sentence)
        scores = {
            one.n: _score(analysed, one.analysed, stretch_similarities(one.vectors @ vector))
            for one in self._candidates(vector, cited)
        }
        enough = sorted((n for n, score in scores.items() if score.ratio >= 1.0), key=lambda n: -scores[n].ratio)
        if enough:
            return Verdict("supported", _prefer(enough, cited), score=scores[enough[0]].probability)
        together = self._verify_together(analysed, vector, cited)
        best = max((score.probability for score in scores.values()), default=0.0)
        return together if together.kind == "supported" else Verdict("unsupported", score=max(best, together.score))

    async def sentence_similarities(self, text: str, passages: Sequence[Passage]) -> Mapping[int, NDArray[np.float32]]:
        """Return the similarity of a text to each sentence of each passage, by the passage's number.

        Raises:
            KnowledgeError: the embedder failed.

        """
        found = {passage.n: sentences(unwrap(passage.text)) for passage in passages}
        vector, *rest = await self._embed([text, *(sentence for each in found.values() for sentence in each)])
        rows = iter(rest)
        return {n: np.array([next(rows) @ vector for _ in each], np.float32) for n, each in found.items() if each}

    def _candidates(self, vector: NDArray[np.float32], cited: Collection[int]) -> list[_Prepared]:
        """Return the passages that the model named and the most similar others."""
        by_similarity = sorted(self._prepared, key=lambda one: -float((one.vectors @ vector).max()))
        return [one for rank, one in enumerate(by_similarity) if rank < _CANDIDATES or one.n in cited]

    def _verify_together(
        self, sentence: AnalysedSentence, vector: NDArray[np.float32], cited: Collection[int]
    ) -> Verdict:
        """Return the verdict of several cited passages taken together."""
        named = [one for one in self._prepared if one.n in cited][:3]
        if len(named) < 2:  # noqa: PLR2004 - several
            return Verdict("unsupported")
        merged = named[0].analysed
        for other in named[1:]:
            merged = merged + other.analysed
        similarities = np.concatenate([stretch_similarities(one.vectors @ vector) for one in named])
        score = _score(sentence, merged, similarities)
        if score.ratio < 1.0:
            return Verdict("unsupported", score=score.probability)
        return Verdict("supported", tuple(one.n for one in named), score=score.probability)


def _analyse(passages: Sequence[Passage]) -> list[AnalysedPassage]:
    return [
        analyse_passage(passage.text, f"{passage.document} › {passage.title} › {passage.heading}")
        for passage in passages
    ]


def _score(sentence: AnalysedSentence, passage: AnalysedPassage, similarities: NDArray[np.float32]) -> _Score:
    weights = WEIGHTS_ACROSS if sentence.chinese != passage.chinese else WEIGHTS_SAME
    return _Score(weights.probability(compute_features(sentence, passage, similarities)), weights.threshold)


def _prefer(found: Sequence[int], cited: Collection[int]) -> tuple[int, ...]:
    """Return those that the model named if any of them is right, else the best one."""
    named = tuple(n for n in found if n in cited)
    return named[:3] or tuple(found[:1])
