"""Whether a passage bears a sentence out: what is not borne out is not shown.

A logistic model over ``evidence.FEATURES`` decides, one for a sentence and a passage in the same language and one
across languages, where words cannot be compared. The weights were fitted on half of the pairs of sentence and passage
in ``tests/data/support_pairs.jsonl`` by ``scripts/eval_support.py --fit``, which keeps each weight on its side of zero,
so that no likeness ever counts against a sentence and no contradiction for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.answering.events import Passage
from bot.answering.evidence import (
    FEATURES,
    Reference,
    Statement,
    reference,
    says_it_literally,
    statement,
    stretch_cosines,
    weigh,
)
from bot.answering.sentences import sentences, unwrap
from bot.answering.support_weights import ACROSS, SAME

Embed = Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]
"""Texts to unit vectors, shape ``(texts, dimensions)``: short texts that are compared with each other, so both sides
are embedded alike."""

_CANDIDATES = 3
_REMEMBERED_TEXTS = 2048
"""Vectors of 384 numbers take 3 MB."""


class Remembered:
    """An ``Embed`` that keeps the latest vectors: the passages of one answer are often those of the next."""

    def __init__(self, embed: Embed, *, texts: int = _REMEMBERED_TEXTS) -> None:
        self._embed = embed
        self._limit = texts
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    async def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed what is not known yet."""
        found = {text: self._vectors[text] for text in texts if text in self._vectors}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            rows = await self._embed(missing)
            found |= {text: row.copy() for text, row in zip(missing, rows, strict=True)}  # a view would keep them all
        for text in texts:
            self._vectors[text] = found[text]
            self._vectors.move_to_end(text)
        while len(self._vectors) > self._limit:
            self._vectors.popitem(last=False)
        return np.stack([found[text] for text in texts]) if texts else np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model."""

    bias: float
    of: dict[str, float]
    threshold: float
    """The probability from which a sentence counts as supported."""

    def probability(self, features: NDArray[np.float64]) -> float:
        """Return the probability that the passage bears the sentence out."""
        total = self.bias + float(features @ np.array([self.of[name] for name in FEATURES]))
        return float(1.0 / (1.0 + np.exp(-total)))


WEIGHTS_SAME = Weights(*SAME)
WEIGHTS_ACROSS = Weights(*ACROSS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a sentence."""

    supported: bool
    passages: tuple[int, ...] = ()
    """The numbers of the passages that bear it out, the best first."""
    score: float = 0.0
    """The best passage's probability over its threshold: 1 and more is supported."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A passage whose sentences are embedded."""

    n: int
    text: str
    reference: Reference
    vectors: NDArray[np.float32]
    """Of its sentences, shape ``(sentences, dimensions)``."""


def judge(sentence: Statement, passage: Reference, cosines: NDArray[np.float32]) -> float:
    """Return how well a passage bears a sentence out, as a share of what it takes: 1 and more is enough."""
    across = sentence.chinese != passage.chinese
    weights = WEIGHTS_ACROSS if across else WEIGHTS_SAME
    return weights.probability(weigh(sentence, passage, cosines)) / weights.threshold


class Support:
    """The passages of one answer, ready to be held against its sentences."""

    def __init__(self, passages: Sequence[Passage], embed: Embed) -> None:
        self._passages = passages
        self._embed = embed
        self._ready: tuple[_Ready, ...] = ()

    async def prepare(self) -> None:
        """Take the passages apart and embed their sentences; done while the engine reads the prompt.

        Raises:
            KnowledgeError: the embedder failed.

        """
        texts = [sentences(unwrap(passage.text)) for passage in self._passages]
        vectors = await self._embed([text for found in texts for text in found])
        references = await asyncio.to_thread(self._references)
        ready, start = [], 0
        for passage, found, of in zip(self._passages, texts, references, strict=True):
            if found:
                ready.append(_Ready(passage.n, passage.text, of, vectors[start : start + len(found)]))
            start += len(found)
        self._ready = tuple(ready)

    async def check(self, sentence: str, cited: Collection[int] = ()) -> Verdict:
        """Judge a sentence, its markers already taken off.

        Args:
            sentence: what the model wrote.
            cited: the numbers of the passages that the model named for it; they are always looked at.

        Raises:
            KnowledgeError: the embedder failed.

        """
        literal = tuple(ready.n for ready in self._ready if says_it_literally(sentence, ready.text))
        if literal:
            return Verdict(supported=True, passages=_preferring(literal, cited)[:1], score=2.0)
        vector = (await self._embed([sentence]))[0]
        stated = statement(sentence)
        candidates = self._candidates(vector, cited)
        scores = {
            ready.n: judge(stated, ready.reference, stretch_cosines(ready.vectors @ vector)) for ready in candidates
        }
        enough = sorted((n for n, score in scores.items() if score >= 1.0), key=lambda n: -scores[n])
        if enough:
            return Verdict(supported=True, passages=_preferring(enough, cited), score=scores[enough[0]])
        return self._together(stated, vector, cited, best=max(scores.values(), default=0.0))

    async def likeness(self, text: str) -> dict[int, NDArray[np.float32]]:
        """Return how alike a text is to each single sentence of each passage, by the passage's number.

        Raises:
            KnowledgeError: the embedder failed.

        """
        if not self._ready:
            await self.prepare()
        vector = (await self._embed([text]))[0]
        return {ready.n: ready.vectors @ vector for ready in self._ready}

    def _references(self) -> list[Reference]:
        return [
            reference(passage.text, f"{passage.document} › {passage.title} › {passage.heading}")
            for passage in self._passages
        ]

    def _candidates(self, vector: NDArray[np.float32], cited: Collection[int]) -> list[_Ready]:
        """Return the passages that the model named and the most alike others."""
        by_likeness = sorted(self._ready, key=lambda ready: -float((ready.vectors @ vector).max()))
        return [ready for rank, ready in enumerate(by_likeness) if rank < _CANDIDATES or ready.n in cited]

    def _together(
        self, sentence: Statement, vector: NDArray[np.float32], cited: Collection[int], *, best: float
    ) -> Verdict:
        """Judge a sentence that names several passages by all of them together."""
        named = [ready for ready in self._ready if ready.n in cited][:3]
        if len(named) > 1:
            merged = named[0].reference
            for other in named[1:]:
                merged = merged + other.reference
            cosines = np.concatenate([stretch_cosines(ready.vectors @ vector) for ready in named])
            score = judge(sentence, merged, cosines)
            if score >= 1.0:
                return Verdict(supported=True, passages=tuple(ready.n for ready in named), score=score)
            best = max(best, score)
        return Verdict(supported=False, score=best)


def _preferring(found: Sequence[int], cited: Collection[int]) -> tuple[int, ...]:
    """Return those that the model named if any of them is right, else the best one."""
    named = tuple(n for n in found if n in cited)
    return named[:3] or tuple(found[:1])
