"""Calibrate search for each embedder: the weights of cosines and words, and the threshold of an answer.

Cosines of two models do not compare, so the constants are keyed by ``Embedder.identity``, and search refuses an
embedder without them. They also belong to BM25 with k1 = 1.2 and b = 0.75 over the terms of
``knowledge.lexical.terms``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from knowledge.errors import EmbedderUncalibrated


@dataclass(frozen=True, slots=True)
class LogisticWeights:
    """The weights of a logistic regression that estimates whether a passage answers a question."""

    cosine: float
    """Per 0.1."""
    over: float
    """Per 0.1 of cosine over the background."""
    bm25: float
    """Per share of the ideal."""
    bm25_root: float
    """Per square root of that share. In a collection about one subject, its words are common and weigh little."""
    bias: float


@dataclass(frozen=True, slots=True)
class RelatedLimits:
    """What a passage needs to have anything to do with a question (``fusion.is_related``)."""

    cosine: float
    """The least cosine in a store of 10,000 passages."""
    cjk: float
    """The same for a question and a passage in Chinese, whose vectors are closer to each other."""
    per_decade: float
    """By how much it grows where the store is ten times larger: the more passages, the nearer the nearest by chance."""
    across: float
    """By how much it is less than ``cosine`` in another language."""
    share: float
    """Without that cosine, the least share of the ideal BM25: the passage has rare words of the question."""


@dataclass(frozen=True, slots=True)
class SearchCalibration:
    """The constants of one embedder."""

    lexical_weights: tuple[float, float]
    """The least and greatest share of the terms in a score: if hardly any term is in the store, and if all are."""
    other_language: float
    """A passage's score is multiplied by it if the question is in another language."""
    one_language: LogisticWeights
    """For a question and a passage in the same language."""
    across_languages: LogisticWeights
    background: float
    """The expected cosine of a question with any passage, until there are measured ones."""
    answerable: float
    """The least confidence of an answerable question (``fusion.is_answerable``)."""
    related: RelatedLimits
    alike: float
    """Copies of a passage differ in their cosine by at most this much."""


CALIBRATIONS: Final[Mapping[str, SearchCalibration]] = {
    # The weights and the threshold were fitted on the questions of scripts/eval_retrieval.py whose sha256(id) is even;
    # docs/benchmarks.md has the curve of the threshold. Rejecting is the worse error, since each sentence of an answer
    # is verified. The factor of the other language was chosen on the even half of the questions to a documentation in
    # two languages. Of the Chinese ones in the odd half, 88.7 % find a Chinese document among the first three passages,
    # and without it 85.5 %. The English ones do not change.
    "multilingual-e5-small:1571fc982750:int8:6.1": SearchCalibration(
        lexical_weights=(0.15, 0.4),
        other_language=0.97,
        one_language=LogisticWeights(cosine=1.16, over=0.0, bm25=0.0, bm25_root=8.09, bias=-10.11),
        across_languages=LogisticWeights(cosine=0.0, over=2.27, bm25=2.99, bm25_root=0.0, bias=-3.6),
        background=0.2,
        answerable=0.3,
        # Chosen on the questions in own words about a gateway, on XQuAD and CMRC, and on 50 questions about other
        # subjects in each language over all of these. Samples of 100 to 7,212 passages gave the growth, and questions
        # across the languages of XQuAD the difference. docs/benchmarks.md has the curve and untouched sets.
        related=RelatedLimits(cosine=0.36, cjk=0.40, per_decade=0.03, across=0.07, share=0.5),
        alike=0.02,
    ),
}
"""By ``Embedder.identity``."""


def find_calibration(identity: str) -> SearchCalibration:
    """Return the constants of an embedder.

    Raises:
        EmbedderUncalibrated: there are none.

    """
    if identity not in CALIBRATIONS:
        raise EmbedderUncalibrated(
            f"Search is not calibrated for the embedder {identity}. Measure it with scripts/eval_retrieval.py and add "
            f"it to knowledge/search/calibration.py, or use one of these: {', '.join(CALIBRATIONS)}."
        )
    return CALIBRATIONS[identity]
